// How weight values are stored: one table of encodings.
#pragma once

#include <cstdint>
#include <string_view>

namespace pare {

// The encodings between bf16 and int8 are the block encodings of GGUF files: a block of values shares scales.
// They are read, and q8_0 and q4_0 written, but never computed with. The last are whole numbers: int8 those
// of a Weight, which holds a scale for every row, the others those of tables beside weights (masks, shapes).
enum class Encoding {
  kF32,
  kF16,
  kBF16,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kIQ4_NL,
  kMXFP4,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_XS,
  kTQ1_0,
  kTQ2_0,
  kInt8,
  kU8,
  kI64
};

struct EncodingInfo {
  std::string_view name;
  int64_t block_values;  // values in one block
  int64_t block_bytes;   // bytes of one block
  bool encodable;        // encode_values writes it
};

const EncodingInfo& encoding_info(Encoding encoding);
inline bool is_block_encoding(Encoding encoding) { return encoding_info(encoding).block_values > 1; }
// Whether decode_values alone is not what a matrix means: numbers that lack their scale, or are none of a
// matrix.
constexpr bool is_whole_numbers(Encoding encoding) { return encoding >= Encoding::kInt8; }

// Bytes of one row of `cols` values; cols must be a multiple of block_values (checked: kFormat).
int64_t row_bytes(Encoding encoding, int64_t cols);

// Decodes `cols` values starting at `source` (start of a block) to f32. This is the meaning of an encoding.
void decode_values(Encoding encoding, const void* source, int64_t cols, float* out) noexcept;
// Encodes finite values: f16 and bf16 round to nearest even, blocks as ggml does, to the bit. `cols` is a
// multiple of block_values, the encoding encodable (else an internal error).
void encode_values(Encoding encoding, const float* source, int64_t cols, void* destination);

}  // namespace pare
