// The metadata keys of one family in a GGUF file: "PREFIX.*".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/gguf.h"

namespace pare::decoder {

// Refers to the file and the prefix. Numbers of another kind or range throw kFormat, missing ones kNotFound.
class GgufKeys {
 public:
  GgufKeys(const GgufFile& file, std::string_view prefix) : file_(file), prefix_(prefix) {}

  std::string key(std::string_view name) const { return fmt::format("{}.{}", prefix_, name); }
  int64_t get_int(std::string_view name) const { return file_.metadata.get_u32(key(name)); }
  int64_t get_int(std::string_view name, int64_t fallback) const {
    const auto value = file_.metadata.find_u32(key(name));
    return value ? static_cast<int64_t>(*value) : fallback;
  }
  // Returns a number of every layer: an array of them, or one for all.
  std::vector<int64_t> get_layers(std::string_view name, int64_t layers) const {
    const GgufValue* value = file_.metadata.find(key(name));
    if (value == nullptr || !std::holds_alternative<GgufArray>(*value))
      return std::vector<int64_t>(static_cast<size_t>(layers), get_int(name));
    const std::vector<int32_t> numbers = file_.metadata.get_i32s(key(name));
    if (static_cast<int64_t>(numbers.size()) != layers)
      fail(ErrorCode::kFormat, "{}: {} has {} numbers, expected one for each of {} layers", file_.name,
           key(name), numbers.size(), layers);
    return {numbers.begin(), numbers.end()};
  }
  bool has(std::string_view name) const { return file_.metadata.find(key(name)) != nullptr; }
  std::optional<float> find_number(std::string_view name) const { return file_.metadata.find_f32(key(name)); }
  float get_number(std::string_view name) const { return file_.metadata.get_f32(key(name)); }
  const std::string* find_string(std::string_view name) const {
    return file_.metadata.find_string(key(name));
  }

 private:
  const GgufFile& file_;
  std::string_view prefix_;
};

}  // namespace pare::decoder
