// Weight: the canonical matrix of a linear or embedding, as on disk; what passes read and replace.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "tensor/encoding.h"
#include "tensor/matrix.h"
#include "tensor/pattern.h"

namespace pare {

// rows × cols values, row-major in `encoding`. Copying shares the bytes (a mapped file or a heap buffer),
// which are never modified: a pass replaces a Weight by a new one.
struct Weight {
  Pattern pattern;
  Encoding encoding = Encoding::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  const std::byte* data = nullptr;
  std::shared_ptr<const void> owner;  // keeps `data` alive
  bool mapped = false;                // `data` lies in a MappedFile

  bool empty() const { return data == nullptr; }
  int64_t values() const { return rows * cols; }
  int64_t bytes() const { return rows * row_bytes(encoding, cols); }

  // Copies finite values into a new Weight of an encodable encoding whose blocks divide the rows.
  static Weight from_matrix(MatrixView<const float> values, Encoding encoding = Encoding::kF32);
  static Weight from_matrix(MatrixView<const double> values, Encoding encoding = Encoding::kF32);
};

// Takes a mapped weight's pages out of the process's memory until they are read again; nothing for others.
void release_pages(const Weight& weight);
// Whether no value is NaN or infinite.
bool all_finite(const Weight& weight);

// Row r as f32, cols values: the meaning of every pattern and encoding.
void decode_row(const Weight& weight, int64_t r, float* out) noexcept;
// Rows of all weights of a stack.
int64_t stacked_rows(std::span<const Weight> stack);
// Row r of weights on top of each other: the rows of the first, then of the second, ...
void decode_row(std::span<const Weight> stack, int64_t r, float* out) noexcept;
// The whole weight, (rows, cols).
Matrix<float> decode(const Weight& weight);
Matrix<double> decode_f64(const Weight& weight);

}  // namespace pare
