// How weight values are stored: one table of encodings.
#pragma once

#include <cstdint>
#include <string_view>

namespace pare {

// q8_0, q4_0 and q4_1 are GGUF's block encodings (32 values a block); they are read, never computed with.
enum class Encoding { kF32, kF16, kBF16, kQ8_0, kQ4_0, kQ4_1 };

struct EncodingInfo {
  std::string_view name;
  int64_t block_values;  // values in one block
  int64_t block_bytes;   // bytes of one block
};

const EncodingInfo& encoding_info(Encoding encoding);

// Bytes of one row of `cols` values; cols must be a multiple of block_values (checked: kFormat).
int64_t row_bytes(Encoding encoding, int64_t cols);

// Decodes `cols` values starting at `source` (start of a block) to f32. This is the meaning of an encoding.
void decode_values(Encoding encoding, const void* source, int64_t cols, float* out) noexcept;
// Encodes to f32, f16 or bf16 (round to nearest even); other encodings are an internal error.
void encode_values(Encoding encoding, const float* source, int64_t cols, void* destination);

}  // namespace pare
