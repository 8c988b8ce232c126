// What every weight file looks like to the rest: named tensors, their shape, encoding and mapped bytes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tensor/weight.h"

namespace pare {

struct TensorInfo {
  std::string name;
  Encoding encoding = Encoding::kF32;
  std::vector<int64_t> shape;        // row-major, slowest dimension first (GGUF's order is reversed on reading)
  std::span<const std::byte> bytes;  // into the mapped file
  std::shared_ptr<const void> owner;
};

// Tensors by name, in name order.
using TensorMap = std::map<std::string, TensorInfo>;

// A 2-D tensor as a Weight sharing the mapped bytes. Throws kFormat if the shape is not (rows, cols).
Weight as_weight(const TensorInfo& tensor, int64_t rows, int64_t cols);
// A 1-D tensor of `size` values as f32. Throws kFormat on another shape.
std::vector<float> as_vector(const TensorInfo& tensor, int64_t size);

}  // namespace pare
