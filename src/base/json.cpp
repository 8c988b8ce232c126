#include "base/json.h"

#include <algorithm>
#include <limits>
#include <map>
#include <vector>

#include "base/placeholder.h"

namespace pare {
namespace {

constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxValues = size_t{1} << 24;

// "at line 1, column 9: …" of the library's "[json.exception.parse_error.101] parse error at line 1, column
// 9: syntax error while parsing value - …".
std::string_view place_and_reason(std::string_view message) {
  for (const std::string_view lead : {"] ", "parse error "})
    if (const size_t found = message.find(lead); found != std::string_view::npos)
      message.remove_prefix(found + lead.size());
  return message;
}

// Builds the document and checks what nlohmann's own builder lets pass: duplicate keys and unbounded nesting.
// Members are appended to an object's vector: its own insertion searches all earlier keys, which takes
// minutes for a vocabulary.
class StrictBuilder {
 public:
  // `numbers`: values of those nulls that stand for a number, by the null's place among all.
  StrictBuilder(std::string_view what, std::map<size_t, double> numbers)
      : what_(what), numbers_(std::move(numbers)) {}
  Json take() { return std::move(root_); }

  bool null() {
    const auto number = numbers_.find(nulls_++);
    return add(number == numbers_.end() ? Json() : Json(number->second)) != nullptr;
  }
  bool boolean(bool value) { return add(Json(value)) != nullptr; }
  bool number_integer(int64_t value) { return add(Json(value)) != nullptr; }
  bool number_unsigned(uint64_t value) { return add(Json(value)) != nullptr; }
  bool number_float(double value, const std::string& /*text*/) { return add(Json(value)) != nullptr; }
  bool string(std::string& value) { return add(Json(std::move(value))) != nullptr; }
  bool binary(Json::binary_t& /*value*/) { return false; }  // not part of JSON text
  bool start_object(size_t /*size*/) { return open(Json::object()); }
  bool start_array(size_t /*size*/) { return open(Json::array()); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    key_ = std::move(name);
    return true;
  }
  bool end_object() {
    reject_duplicates(*open_.back());
    return close();
  }
  bool parse_error(size_t /*position*/, const std::string& /*token*/, const Json::exception& error) {
    fail(ErrorCode::kFormat, "{}: not valid JSON {}", what_, place_and_reason(error.what()));
  }

 private:
  using Members = std::vector<Json::object_t::value_type>;

  Json* add(Json value) {
    if (++values_ > kMaxValues) fail(ErrorCode::kFormat, "{}: more than {} JSON values", what_, kMaxValues);
    if (open_.empty()) return &(root_ = std::move(value));
    if (open_.back()->is_array())
      return &open_.back()->get_ref<Json::array_t&>().emplace_back(std::move(value));
    Members& members = open_.back()->get_ref<Json::object_t&>();
    return &members.emplace_back(std::move(key_), std::move(value)).second;
  }

  bool open(Json container) {
    if (open_.size() == kMaxDepth)
      fail(ErrorCode::kFormat, "{}: JSON nested deeper than {}", what_, kMaxDepth);
    open_.push_back(add(std::move(container)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  void reject_duplicates(const Json& object) const {
    std::vector<const std::string*> keys;
    for (const auto& member : object.get_ref<const Json::object_t&>()) keys.push_back(&member.first);
    std::sort(keys.begin(), keys.end(), [](const auto* a, const auto* b) { return *a < *b; });
    const auto same = [](const auto* a, const auto* b) { return *a == *b; };
    const auto it = std::adjacent_find(keys.begin(), keys.end(), same);
    if (it != keys.end()) fail(ErrorCode::kFormat, "{}: duplicate JSON key \"{}\"", what_, **it);
  }

  std::string_view what_;
  std::map<size_t, double> numbers_;
  size_t nulls_ = 0;
  Json root_;
  std::vector<Json*> open_;  // containers not yet closed; a parent does not grow while its child is open
  std::string key_;
  size_t values_ = 0;
};

template <typename T>
bool holds(const Json& value) {
  if constexpr (std::is_same_v<T, bool>) return value.is_boolean();
  if constexpr (std::is_same_v<T, std::string>) return value.is_string();
  if constexpr (std::is_same_v<T, double>) return value.is_number();
  if constexpr (std::is_same_v<T, int64_t>)
    return value.is_number_integer() && (!value.is_number_unsigned() || value.get<uint64_t>() <= INT64_MAX);
}

// NaN, Infinity and -Infinity, which Python writes and reads, are no JSON: they are parsed as null, and the
// builder is told which of the nulls they are. Other text stays as it is.
struct PlainJson {
  std::string text;
  std::map<size_t, double> values;  // by the number of the null
};

PlainJson replace_python_numbers(std::string_view text) {
  struct Word {
    std::string_view word;
    double value;
  };
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  constexpr Word kWords[] = {
      {"NaN", std::numeric_limits<double>::quiet_NaN()}, {"Infinity", kInfinity}, {"-Infinity", -kInfinity}};
  PlainJson plain;
  size_t nulls = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size();) {
    const std::string_view rest = text.substr(i);
    if (quoted) {
      const size_t length = rest.front() == '\\' ? std::min<size_t>(2, rest.size()) : 1;
      quoted = rest.front() != '"';
      plain.text += rest.substr(0, length);
      i += length;
      continue;
    }
    quoted = rest.front() == '"';
    if (rest.starts_with("null")) ++nulls;
    const auto* word = std::find_if(std::begin(kWords), std::end(kWords),
                                    [&](const Word& w) { return rest.starts_with(w.word); });
    if (word != std::end(kWords)) {
      plain.values[nulls++] = word->value;
      plain.text += "null";
      i += word->word.size();
    } else {
      plain.text += rest.front();
      ++i;
    }
  }
  return plain;
}

}  // namespace

Json parse_json(std::string_view text, std::string_view what) {
  reject_html(text, what);
  // The parser takes a NUL for the end of the text and would ignore whatever follows it.
  if (text.find('\0') != std::string_view::npos)
    fail(ErrorCode::kFormat, "{}: not valid JSON: a NUL byte at offset {}", what, text.find('\0'));
  PlainJson plain;
  if (text.find("NaN") != std::string_view::npos || text.find("Infinity") != std::string_view::npos) {
    plain = replace_python_numbers(text);
    text = plain.text;
  }
  StrictBuilder builder(what, std::move(plain.values));
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

template <typename T>
std::optional<T> json_find(const Json& object, const std::string& key, std::string_view what) {
  if (!object.is_object())
    fail(ErrorCode::kFormat, "{}: expected a JSON object, got {}", what, object.type_name());
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return std::nullopt;
  if (!holds<T>(*it))
    fail(ErrorCode::kFormat, "{}: key \"{}\" has an unexpected value {}", what, key,
         it->dump().substr(0, 80));
  return it->template get<T>();
}

template std::optional<bool> json_find<bool>(const Json&, const std::string&, std::string_view);
template std::optional<int64_t> json_find<int64_t>(const Json&, const std::string&, std::string_view);
template std::optional<double> json_find<double>(const Json&, const std::string&, std::string_view);
template std::optional<std::string> json_find<std::string>(const Json&, const std::string&, std::string_view);

}  // namespace pare
