// Encodings of stored weight values, as one table.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace pare {

// Kinds of stored values. EncodingInfo describes each; the order has no meaning. Fingerprints of unfinished
// runs contain the numbers, so that a new encoding comes last.
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
  kI64,
  kInt4,
  kQ4N,
  kQ3N,
  kI32
};

// Kinds of values that encodings have.
enum class EncodingKind {
  kFloat,  // floating-point numbers
  kBlock,  // codes in blocks, with their scales between them: block encodings of GGUF, and pare's own
  kCode,   // whole numbers of a Weight, which holds their scales beside them
  kTable   // whole numbers of tables beside weights (masks, shapes)
};

struct EncodingInfo {
  std::string_view name;
  int64_t block_values;  // values in one block
  int64_t block_bytes;   // bytes of one block
  bool encodable;        // encode_values writes it
  EncodingKind kind;
  // Codes that may have zero points are 0 to levels − 1, and levels / 2 is zero where there is no zero
  // point. 0: no zero points.
  int32_t levels = 0;
  // Bits of the scale that each block has at the beginning of its row, behind a factor of the row in f16. 0:
  // a block holds all that its values need.
  int32_t row_scale_bits = 0;
};

const EncodingInfo& encoding_info(Encoding encoding);
std::vector<Encoding> all_encodings();
// Returns the encoding of that name, nothing for other texts.
std::optional<Encoding> find_encoding(std::string_view name);
inline bool is_float(Encoding encoding) { return encoding_info(encoding).kind == EncodingKind::kFloat; }
inline bool is_block_encoding(Encoding encoding) {
  return encoding_info(encoding).kind == EncodingKind::kBlock;
}
inline bool is_code(Encoding encoding) { return encoding_info(encoding).kind == EncodingKind::kCode; }
// Returns whether decode_values alone does not give a matrix: its numbers lack their scale, or belong to no
// matrix.
inline bool is_whole_numbers(Encoding encoding) {
  return is_code(encoding) || encoding_info(encoding).kind == EncodingKind::kTable;
}

// Bytes of one row of `cols` values; cols must be a multiple of block_values (checked: kFormat).
int64_t row_bytes(Encoding encoding, int64_t cols);

// Decodes `cols` values starting at `source` (start of a block, of a row with row_scale_bits) to f32. This is
// the meaning of an encoding; of codes it gives whole numbers, those with levels as code − levels / 2.
void decode_values(Encoding encoding, const void* source, int64_t cols, float* out) noexcept;
// Encodes finite values: f16 and bf16 round to nearest even, blocks as ggml does, to the bit. `cols` is a
// multiple of block_values, the encoding encodable (else an internal error).
void encode_values(Encoding encoding, const float* source, int64_t cols, void* destination);

}  // namespace pare
