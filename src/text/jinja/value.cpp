#include "text/jinja/value.h"

#include <algorithm>

#include "text/jinja/fault.h"
#include "text/jinja/object.h"
#include "text/jinja/text_search.h"
#include "text/jinja/value_ops.h"

namespace pare {
namespace {

constexpr size_t kIndexedFrom = 12;  // entries of a dict from which on it has an index
constexpr size_t kObjectBytes = 96;  // about the cost of an object beside its content

size_t list_bytes(const JinjaList& list) { return kObjectBytes + list.items.capacity() * sizeof(JinjaValue); }

int nesting_over(const std::vector<JinjaValue>& items) {
  int nesting = 0;
  for (const JinjaValue& item : items) nesting = std::max(nesting, item.nesting());
  return nesting + 1;
}

void check_nesting(int nesting) {
  if (nesting > kMaxJinjaNesting)
    jinja_fault("lists and dicts nest deeper than {}, the limit", kMaxJinjaNesting);
}

JinjaValue from_json_at(const Json& json, int32_t origin, int depth) {
  if (depth > kMaxJinjaNesting)
    fail(ErrorCode::kInvalid, "a template's variables nest deeper than {}, the limit", kMaxJinjaNesting);
  switch (json.type()) {
    case Json::value_t::null:
      return JinjaValue::none();
    case Json::value_t::boolean:
      return JinjaValue::boolean(json.get<bool>());
    case Json::value_t::number_integer:
      return JinjaValue::integer(json.get<int64_t>());
    case Json::value_t::number_unsigned:
      return JinjaValue::integer(json.get<uint64_t>());
    case Json::value_t::number_float:
      return JinjaValue::real(json.get<double>());
    case Json::value_t::string:
      return JinjaValue::string(json.get_ref<const std::string&>(), origin);
    case Json::value_t::array: {
      std::vector<JinjaValue> items;
      items.reserve(json.size());
      for (const Json& item : json) items.push_back(from_json_at(item, origin, depth + 1));
      return JinjaValue::list(std::move(items));
    }
    case Json::value_t::object: {
      JinjaValue dict = JinjaValue::dict();
      for (const auto& [key, item] : json.items())
        dict.set(JinjaValue::string(key, origin), from_json_at(item, origin, depth + 1));
      return dict;
    }
    default:
      fail(ErrorCode::kInvalid, "a template's variables hold JSON that is {}", json.type_name());
  }
}

}  // namespace

JinjaValue JinjaValue::undefined(JinjaUndefined why) {
  JinjaValue value;
  value.data_ = std::make_shared<const JinjaUndefined>(std::move(why));
  return value;
}

JinjaValue JinjaValue::none() {
  JinjaValue value;
  value.data_ = None{};
  return value;
}

JinjaValue JinjaValue::boolean(bool truth) {
  JinjaValue value;
  value.data_ = truth;
  return value;
}

JinjaValue JinjaValue::integer(JinjaInt number) {
  JinjaValue value;
  value.data_ = number;
  return value;
}

JinjaValue JinjaValue::real(double number) {
  JinjaValue value;
  value.data_ = number;
  return value;
}

JinjaValue JinjaValue::string(JinjaString text) {
  JinjaValue value;
  const size_t bytes = kObjectBytes + text.footprint();
  value.data_ = std::make_shared<const JinjaText>(JinjaText{std::move(text), JinjaCharge(bytes)});
  return value;
}

JinjaValue JinjaValue::string(std::string text, int32_t origin) {
  return string(JinjaString(std::move(text), origin));
}

JinjaValue JinjaValue::sequence(JinjaList items) {
  items.nesting = nesting_over(items.items);
  check_nesting(items.nesting);
  items.charge.resize(list_bytes(items));
  JinjaValue value;
  value.data_ = std::make_shared<JinjaList>(std::move(items));
  return value;
}

JinjaValue JinjaValue::list(std::vector<JinjaValue> items) {
  return sequence({.form = JinjaList::Form::kList, .items = std::move(items), .charge = {}});
}

JinjaValue JinjaValue::tuple(std::vector<JinjaValue> items) {
  return sequence({.form = JinjaList::Form::kTuple, .items = std::move(items), .charge = {}});
}

JinjaValue JinjaValue::dict() {
  JinjaValue value;
  auto entries = std::make_shared<JinjaDict>();
  entries->charge.resize(kObjectBytes);
  value.data_ = std::move(entries);
  return value;
}

JinjaValue JinjaValue::object(std::shared_ptr<JinjaObject> object) {
  JinjaValue value;
  value.data_ = std::move(object);
  return value;
}

JinjaValue JinjaValue::from_json(const Json& json, int32_t origin) { return from_json_at(json, origin, 0); }

void JinjaValue::append(JinjaValue value) {
  PARE_CHECK(is_list());
  auto& list = std::get<std::shared_ptr<JinjaList>>(data_);
  if (list.use_count() > 1)
    list = std::make_shared<JinjaList>(
        JinjaList{.form = list->form, .items = list->items, .nesting = list->nesting, .charge = {}});
  list->nesting = std::max(list->nesting, value.nesting() + 1);
  check_nesting(list->nesting);
  list->items.push_back(std::move(value));
  list->charge.resize(list_bytes(*list));
}

void JinjaValue::set(std::string_view key, JinjaValue value) {
  set(string(std::string(key)), std::move(value));
}

void JinjaValue::set(const JinjaValue& key, JinjaValue value) {
  PARE_CHECK(is_dict());
  auto& dict = std::get<std::shared_ptr<JinjaDict>>(data_);
  if (dict.use_count() > 1) {
    auto copy = std::make_shared<JinjaDict>();
    copy->entries = dict->entries;
    copy->index = dict->index;
    copy->nesting = dict->nesting;
    dict = std::move(copy);
  }
  dict->set(key, std::move(value));
}

bool JinjaValue::as_bool() const {
  PARE_CHECK(is_bool());
  return std::get<bool>(data_);
}

JinjaInt JinjaValue::as_int() const {
  PARE_CHECK(is_integer());
  return is_bool() ? JinjaInt{std::get<bool>(data_)} : std::get<JinjaInt>(data_);
}

double JinjaValue::as_float() const {
  PARE_CHECK(is_number());
  return is_float() ? std::get<double>(data_) : static_cast<double>(as_int());
}

const JinjaString& JinjaValue::text() const {
  PARE_CHECK(is_string());
  return std::get<std::shared_ptr<const JinjaText>>(data_)->text;
}

const JinjaList& JinjaValue::items() const {
  PARE_CHECK(is_list());
  return *std::get<std::shared_ptr<JinjaList>>(data_);
}

const JinjaDict& JinjaValue::entries() const {
  PARE_CHECK(is_dict());
  return *std::get<std::shared_ptr<JinjaDict>>(data_);
}

const std::shared_ptr<JinjaObject>& JinjaValue::object() const {
  PARE_CHECK(is_object());
  return std::get<std::shared_ptr<JinjaObject>>(data_);
}

const JinjaUndefined* JinjaValue::why_undefined() const {
  PARE_CHECK(is_undefined());
  return std::get<std::shared_ptr<const JinjaUndefined>>(data_).get();
}

const JinjaValue* JinjaValue::find(std::string_view key) const { return entries().find(key); }

int JinjaValue::nesting() const {
  if (is_list()) return items().nesting;
  if (is_object()) return object()->nesting();
  return is_dict() ? entries().nesting : 0;
}

void JinjaValue::consume(size_t count) const {
  JinjaList& list = *std::get<std::shared_ptr<JinjaList>>(data_);
  list.taken = std::min(list.items.size(), list.taken + count);
}

bool JinjaValue::same_as(const JinjaValue& other) const {
  if (kind() != other.kind()) return false;
  switch (kind()) {
    case Kind::kNone:
      return true;
    case Kind::kBool:
      return as_bool() == other.as_bool();
    case Kind::kInt:
      return as_int() == other.as_int();
    case Kind::kFloat:
      return false;
    case Kind::kUndefined:
      return why_undefined() == other.why_undefined();
    case Kind::kString:
      return &text() == &other.text() || jinja_same_text(str(), other.str());
    case Kind::kList:
      return &items() == &other.items();
    case Kind::kDict:
      return &entries() == &other.entries();
    case Kind::kObject:
      return object() == other.object();
  }
  return false;
}

size_t JinjaDict::position(size_t hash, const JinjaValue& key) const {
  if (index.empty()) {
    for (size_t i = 0; i < entries.size(); ++i)
      if (jinja_equal(entries[i].first, key)) return i;
    return entries.size();
  }
  const auto [begin, end] = index.equal_range(hash);
  for (auto at = begin; at != end; ++at)
    if (jinja_equal(entries[at->second].first, key)) return at->second;
  return entries.size();
}

const JinjaValue* JinjaDict::find(const JinjaValue& key) const {
  const size_t at = position(index.empty() ? 0 : jinja_hash(key), key);
  return at < entries.size() ? &entries[at].second : nullptr;
}

const JinjaValue* JinjaDict::find(std::string_view key) const {
  const auto matches = [&](const JinjaValue& other) {
    return other.is_string() && jinja_same_text(other.str(), key);
  };
  if (index.empty()) {
    for (const auto& [name, value] : entries)
      if (matches(name)) return &value;
    return nullptr;
  }
  const auto [begin, end] = index.equal_range(jinja_hash(key));
  for (auto at = begin; at != end; ++at)
    if (matches(entries[at->second].first)) return &entries[at->second].second;
  return nullptr;
}

void JinjaDict::set(const JinjaValue& key, JinjaValue value) {
  const int deeper = std::max({nesting, value.nesting() + 1, key.nesting() + 1});
  check_nesting(deeper);
  const size_t hash = jinja_hash(key);
  const size_t at = position(hash, key);
  nesting = deeper;
  if (at < entries.size()) {
    entries[at].second = std::move(value);
    return;
  }
  entries.emplace_back(key, std::move(value));
  if (!index.empty()) {
    index.emplace(hash, at);
  } else if (entries.size() >= kIndexedFrom) {
    for (size_t i = 0; i < entries.size(); ++i) index.emplace(jinja_hash(entries[i].first), i);
  }
  charge.resize(kObjectBytes + entries.capacity() * sizeof(entries[0]) + index.size() * 48);
}

}  // namespace pare
