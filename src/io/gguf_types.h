// Numbers of the GGUF format, shared by its reader and writer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "io/gguf_metadata.h"
#include "tensor/encoding.h"

namespace pare::gguf {

inline constexpr std::string_view kMagic = "GGUF";
inline constexpr uint32_t kVersion = 3;  // written; 2 differs only in allowing big endian
inline constexpr uint64_t kMaxAlignment = uint64_t{1} << 20;
inline constexpr size_t kMaxRank = 4;
inline constexpr size_t kMaxKeyBytes = 65535;
inline constexpr int kMaxArrayDepth = 4;
inline constexpr const char* kAlignmentKey = "general.alignment";

// The alignment that the metadata asks for, 32 by default. Throws kFormat unless it is a power of two up to
// kMaxAlignment.
uint64_t alignment(const GgufMetadata& metadata);

// The encoding of a ggml tensor type, nothing for the types that pare does not have.
std::optional<Encoding> encoding_of(uint32_t tensor_type);
// The ggml tensor type of an encoding, nothing where ggml has none.
std::optional<uint32_t> find_tensor_type(Encoding encoding);
// The ggml tensor type of an encoding that has one.
uint32_t tensor_type_of(Encoding encoding);
// ggml's name of a tensor type ("Q4_K"), or "unknown".
std::string_view tensor_type_name(uint32_t tensor_type);
// ggml's names of the types that pare reads, "F32, F16, ...".
std::string readable_types();

// Calls f.template operator()<T>() with the C++ type of metadata type number `type`, which must be below
// std::variant_size_v<GgufValue>.
template <typename F>
auto with_type(size_t type, F&& f) {
  switch (type) {
    case 0:
      return f.template operator()<uint8_t>();
    case 1:
      return f.template operator()<int8_t>();
    case 2:
      return f.template operator()<uint16_t>();
    case 3:
      return f.template operator()<int16_t>();
    case 4:
      return f.template operator()<uint32_t>();
    case 5:
      return f.template operator()<int32_t>();
    case 6:
      return f.template operator()<float>();
    case 7:
      return f.template operator()<bool>();
    case 8:
      return f.template operator()<std::string>();
    case 9:
      return f.template operator()<GgufArray>();
    case 10:
      return f.template operator()<uint64_t>();
    case 11:
      return f.template operator()<int64_t>();
    default:
      return f.template operator()<double>();
  }
}

}  // namespace pare::gguf
