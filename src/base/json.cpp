#include "base/json.h"

#include <set>
#include <vector>

namespace pare {
namespace {

constexpr int kMaxDepth = 64;

// Checks what nlohmann's parser lets pass: duplicate keys and unbounded nesting.
class StrictCallback {
 public:
  explicit StrictCallback(std::string_view what) : what_(what) {}

  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    using Event = Json::parse_event_t;
    if (depth > kMaxDepth) fail(ErrorCode::kFormat, "{}: JSON nested deeper than {}", what_, kMaxDepth);
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    if (event == Event::key && !keys_.back().insert(parsed.get_ref<const std::string&>()).second)
      fail(ErrorCode::kFormat, "{}: duplicate JSON key \"{}\"", what_, parsed.get_ref<const std::string&>());
    return true;
  }

 private:
  std::string_view what_;
  std::vector<std::set<std::string>> keys_;
};

template <typename T>
bool holds(const Json& value) {
  if constexpr (std::is_same_v<T, bool>) return value.is_boolean();
  if constexpr (std::is_same_v<T, std::string>) return value.is_string();
  if constexpr (std::is_same_v<T, double>) return value.is_number();
  if constexpr (std::is_same_v<T, int64_t>)
    return value.is_number_integer() && (!value.is_number_unsigned() || value.get<uint64_t>() <= INT64_MAX);
}

}  // namespace

Json parse_json(std::string_view text, std::string_view what) {
  try {
    return Json::parse(text.begin(), text.end(), StrictCallback(what));
  } catch (const Json::exception& error) {
    fail(ErrorCode::kFormat, "{}: not valid JSON: {}", what, error.what());
  }
}

template <typename T>
std::optional<T> json_find(const Json& object, const std::string& key, std::string_view what) {
  if (!object.is_object()) fail(ErrorCode::kFormat, "{}: expected a JSON object, got {}", what, object.type_name());
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return std::nullopt;
  if (!holds<T>(*it))
    fail(ErrorCode::kFormat, "{}: key \"{}\" has an unexpected value {}", what, key, it->dump().substr(0, 80));
  return it->template get<T>();
}

template std::optional<bool> json_find<bool>(const Json&, const std::string&, std::string_view);
template std::optional<int64_t> json_find<int64_t>(const Json&, const std::string&, std::string_view);
template std::optional<double> json_find<double>(const Json&, const std::string&, std::string_view);
template std::optional<std::string> json_find<std::string>(const Json&, const std::string&, std::string_view);

}  // namespace pare
