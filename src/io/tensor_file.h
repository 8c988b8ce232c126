// Common contents of all weight files: named tensors, their shape, encoding and mapped bytes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/weight.h"

namespace pare {

struct TensorInfo {
  std::string name;
  Encoding encoding = Encoding::kF32;
  std::vector<int64_t> shape;  // row-major, slowest dimension first (GGUF's order is reversed on reading)
  std::span<const std::byte> bytes;   // into the mapped file; not aligned
  std::shared_ptr<const void> owner;  // the mapped file
};

// Tensors by name, in name order.
using TensorMap = std::map<std::string, TensorInfo>;

// A tensor whose place in the file was checked but whose type pare does not read (a BOOL buffer, ...).
struct SkippedTensor {
  std::string name;
  std::string dtype;
};

// A tensor that will be written.
struct TensorPlan {
  std::string name;
  Encoding encoding = Encoding::kF32;
  std::vector<int64_t> shape;
  bool operator==(const TensorPlan&) const = default;
};

// Bytes of a tensor; a scalar (empty shape) is one value. Throws kFormat, naming `what`, on a negative
// dimension, on overflow and on rows that do not divide into whole blocks.
uint64_t tensor_bytes(Encoding encoding, std::span<const int64_t> shape, std::string_view what);
uint64_t tensor_bytes(const TensorPlan& plan);

// A 2-D tensor as a Weight sharing the mapped bytes. Throws kFormat if the shape is not (rows, cols). Not for
// whole numbers, as the next two.
Weight as_weight(const TensorInfo& tensor, int64_t rows, int64_t cols);
// A tensor of any shape as a Weight sharing the bytes: (all other dimensions, last dimension).
Weight as_weight(const TensorInfo& tensor);
// A 1-D tensor of `size` values as f32. Throws kFormat on another shape.
std::vector<float> as_vector(const TensorInfo& tensor, int64_t size);

// The tensor of that name. Throws kUnsupported naming the type if it was skipped or, by the first, holds
// whole numbers, kNotFound if it is not there; `what` names the file.
const TensorInfo& find_tensor(const TensorMap& tensors, std::span<const SkippedTensor> skipped,
                              const std::string& name, std::string_view what);
const TensorInfo& find_any_tensor(const TensorMap& tensors, std::span<const SkippedTensor> skipped,
                                  const std::string& name, std::string_view what);

}  // namespace pare
