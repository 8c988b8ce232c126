// Key-value metadata of a GGUF file.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace pare {

struct GgufArray;

// The index of each alternative is GGUF's number of the type.
using GgufValue = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool,
                               std::string, GgufArray, uint64_t, int64_t, double>;

// Elements of one type; the index of each alternative is GGUF's number of the element type.
struct GgufArray {
  using Values =
      std::variant<std::vector<uint8_t>, std::vector<int8_t>, std::vector<uint16_t>, std::vector<int16_t>,
                   std::vector<uint32_t>, std::vector<int32_t>, std::vector<float>, std::vector<bool>,
                   std::vector<std::string>, std::vector<GgufArray>, std::vector<uint64_t>,
                   std::vector<int64_t>, std::vector<double>>;
  Values values;
  bool operator==(const GgufArray&) const = default;
};

struct GgufEntry {
  std::string key;
  GgufValue value;
  bool operator==(const GgufEntry&) const = default;
};

// Name of a metadata type by its number ("u32", "string", ...).
std::string_view gguf_type_name(size_t type);

// Entries in file order, with getters. get_* throw kNotFound when the key is absent; find_* return nothing.
// Both throw kFormat naming the key when the value is of another kind or out of range.
class GgufMetadata {
 public:
  const std::vector<GgufEntry>& entries() const { return entries_; }
  // Throws kFormat when the key is there already.
  void add(std::string key, GgufValue value);
  const GgufValue* find(const std::string& key) const;

  // Any integer type whose value fits.
  std::optional<uint32_t> find_u32(const std::string& key) const;
  uint32_t get_u32(const std::string& key) const;
  // f32 or f64.
  std::optional<float> find_f32(const std::string& key) const;
  float get_f32(const std::string& key) const;
  std::optional<bool> find_bool(const std::string& key) const;
  bool get_bool(const std::string& key) const;
  const std::string* find_string(const std::string& key) const;
  const std::string& get_string(const std::string& key) const;
  // Arrays. An array of any integer type whose values fit is read as i32.
  const std::vector<std::string>* find_strings(const std::string& key) const;
  const std::vector<std::string>& get_strings(const std::string& key) const;
  std::optional<std::vector<int32_t>> find_i32s(const std::string& key) const;
  std::vector<int32_t> get_i32s(const std::string& key) const;
  const std::vector<float>* find_f32s(const std::string& key) const;
  const std::vector<float>& get_f32s(const std::string& key) const;

 private:
  std::vector<GgufEntry> entries_;
  std::map<std::string, size_t> index_;
};

}  // namespace pare
