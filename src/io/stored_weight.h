// Matrices that a file stores as several tensors: N:M sparse ones, and codes with their scales.
#pragma once

#include <array>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "io/tensor_file.h"

namespace pare {

// Layouts of matrices in a Hugging Face folder (docs/file_format.md). For a matrix "X.weight":
//   kPlain            X.weight
//   kPacked           X.weight.values, X.weight.mask (N:M), X.weight.scale and X.weight.zero_point (codes)
//   kSparse24Bitmask  X.compressed, X.bitmask, X.shape of compressed-tensors (2:4)
//   kPackQuantized    X.weight_packed, X.weight_scale, X.weight_shape of compressed-tensors (int4)
// In each, a dense matrix of floats is X.weight.
enum class StorageFormat { kPlain, kPacked, kSparse24Bitmask, kPackQuantized };
std::string_view storage_format_name(StorageFormat format);

enum class PartKind { kWhole, kValues, kWords, kMask, kScales, kZeroPoints, kShape };

// A tensor to be written, and what of the matrix it holds.
struct PartPlan {
  TensorPlan tensor;
  PartKind kind = PartKind::kWhole;
};

// The tensors of a matrix `name` (rows, cols) of a format that fits it.
std::vector<PartPlan> plan_parts(StorageFormat storage, const std::string& name, int64_t rows, int64_t cols,
                                 const WeightFormat& format);
// Returns the bytes of one part, shared where the weight has them.
Weight part_of(const Weight& weight, PartKind kind);

// Tensors among which a matrix is looked for.
struct PartSource {
  std::string_view what;  // names the file in messages
  const TensorMap& tensors;
  std::span<const SkippedTensor> skipped;
};

// Reads a matrix (rows, cols) of the packed storage: codes, blocks, or of an N:M pattern. A stated encoding
// of codes or blocks must be that of the file; where floats are stated, the type of the values says what they
// are: floats, or int8 with a scale a row. Shares the mapped bytes. Adds the names of its tensors to `used`.
// Throws kNotFound for a tensor that is not there, kUnsupported for a type that pare does not read, kFormat
// when the format does not fit the columns, or when shapes, mask, scales or zero points are not what they
// must be.
Weight packed_matrix(const PartSource& source, const std::string& name, int64_t rows, int64_t cols,
                     const WeightFormat& stated, std::set<std::string>& used);
// Reads a matrix (rows, cols) of sparse-24-bitmask, as packed_matrix does.
Weight bitmask_matrix(const PartSource& source, const std::string& name, int64_t rows, int64_t cols,
                      std::set<std::string>& used);
// Reads a matrix (rows, cols) of pack-quantized, as packed_matrix does. `stated` is int4 without zero points;
// the type of the scales is that of the file.
Weight pack_quantized_matrix(const PartSource& source, const std::string& name, int64_t rows, int64_t cols,
                             const WeightFormat& stated, std::set<std::string>& used);

}  // namespace pare
