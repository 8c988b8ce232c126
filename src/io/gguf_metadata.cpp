#include "io/gguf_metadata.h"

#include <limits>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "io/checks.h"

namespace pare {
namespace {

constexpr std::string_view kTypeNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                           "bool", "string", "array", "u64", "i64", "f64"};

template <typename T>
constexpr bool kIsInteger = std::is_integral_v<T> && !std::is_same_v<T, bool>;

[[noreturn]] void missing(const std::string& key) {
  fail(ErrorCode::kNotFound, "GGUF metadata \"{}\" is missing", printable(key));
}

std::string describe(const GgufValue& value) {
  if (const auto* array = std::get_if<GgufArray>(&value))
    return fmt::format("an array of {}", gguf_type_name(array->values.index()));
  return std::string(gguf_type_name(value.index()));
}

[[noreturn]] void wrong_kind(const std::string& key, std::string_view expected, const GgufValue& value) {
  fail(ErrorCode::kFormat, "GGUF metadata \"{}\": expected {}, got {}", printable(key), expected,
       describe(value));
}

// Returns value as To; throws kFormat when it does not fit.
template <typename To, typename From>
To narrow(const std::string& key, From value) {
  if (!std::in_range<To>(value))
    fail(ErrorCode::kFormat, "GGUF metadata \"{}\": {} is not between {} and {}", printable(key), value,
         std::numeric_limits<To>::min(), std::numeric_limits<To>::max());
  return static_cast<To>(value);
}

// Returns the vector of an array of T, nothing when the key is absent.
template <typename T>
const std::vector<T>* find_array(const GgufMetadata& metadata, const std::string& key,
                                 std::string_view expected) {
  const GgufValue* value = metadata.find(key);
  if (value == nullptr) return nullptr;
  const auto* array = std::get_if<GgufArray>(value);
  if (array == nullptr || !std::holds_alternative<std::vector<T>>(array->values))
    wrong_kind(key, expected, *value);
  return &std::get<std::vector<T>>(array->values);
}

template <typename T>
T required(const std::string& key, std::optional<T> value) {
  if (!value) missing(key);
  return *std::move(value);
}

template <typename T>
const T& required(const std::string& key, const T* value) {
  if (value == nullptr) missing(key);
  return *value;
}

}  // namespace

std::string_view gguf_type_name(size_t type) {
  return type < std::size(kTypeNames) ? kTypeNames[type] : std::string_view("unknown");
}

void GgufMetadata::add(std::string key, GgufValue value) {
  if (!index_.emplace(key, entries_.size()).second)
    fail(ErrorCode::kFormat, "GGUF metadata \"{}\" is there twice", printable(key));
  entries_.push_back({std::move(key), std::move(value)});
}

const GgufValue* GgufMetadata::find(const std::string& key) const {
  const auto it = index_.find(key);
  return it == index_.end() ? nullptr : &entries_[it->second].value;
}

std::optional<uint32_t> GgufMetadata::find_u32(const std::string& key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  return std::visit(
      [&](const auto& v) -> uint32_t {
        using T = std::decay_t<decltype(v)>;
        if constexpr (kIsInteger<T>)
          return narrow<uint32_t>(key, v);
        else
          wrong_kind(key, "an integer", *value);
      },
      *value);
}

std::optional<float> GgufMetadata::find_f32(const std::string& key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* single = std::get_if<float>(value)) return *single;
  if (const auto* wide = std::get_if<double>(value)) return static_cast<float>(*wide);
  wrong_kind(key, "f32 or f64", *value);
}

std::optional<bool> GgufMetadata::find_bool(const std::string& key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* flag = std::get_if<bool>(value)) return *flag;
  wrong_kind(key, "bool", *value);
}

const std::string* GgufMetadata::find_string(const std::string& key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return nullptr;
  if (const auto* text = std::get_if<std::string>(value)) return text;
  wrong_kind(key, "string", *value);
}

const std::vector<std::string>* GgufMetadata::find_strings(const std::string& key) const {
  return find_array<std::string>(*this, key, "an array of string");
}

const std::vector<float>* GgufMetadata::find_f32s(const std::string& key) const {
  return find_array<float>(*this, key, "an array of f32");
}

std::optional<std::vector<int32_t>> GgufMetadata::find_i32s(const std::string& key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* array = std::get_if<GgufArray>(value);
  if (array == nullptr) wrong_kind(key, "an array of integers", *value);
  return std::visit(
      [&](const auto& elements) -> std::vector<int32_t> {
        using T = typename std::decay_t<decltype(elements)>::value_type;
        if constexpr (kIsInteger<T>) {
          std::vector<int32_t> result;
          result.reserve(elements.size());
          for (const T element : elements) result.push_back(narrow<int32_t>(key, element));
          return result;
        } else {
          wrong_kind(key, "an array of integers", *value);
        }
      },
      array->values);
}

uint32_t GgufMetadata::get_u32(const std::string& key) const { return required(key, find_u32(key)); }
float GgufMetadata::get_f32(const std::string& key) const { return required(key, find_f32(key)); }
bool GgufMetadata::get_bool(const std::string& key) const { return required(key, find_bool(key)); }
const std::string& GgufMetadata::get_string(const std::string& key) const {
  return required(key, find_string(key));
}
const std::vector<std::string>& GgufMetadata::get_strings(const std::string& key) const {
  return required(key, find_strings(key));
}
std::vector<int32_t> GgufMetadata::get_i32s(const std::string& key) const {
  return required(key, find_i32s(key));
}
const std::vector<float>& GgufMetadata::get_f32s(const std::string& key) const {
  return required(key, find_f32s(key));
}

}  // namespace pare
