// Weight: the canonical matrix of a linear or embedding, as on disk; what passes read and replace.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "tensor/encoding.h"
#include "tensor/matrix.h"
#include "tensor/pattern.h"

namespace pare {

// rows × cols values, row-major in `encoding`. Copying shares the bytes (mapped files or a heap buffer),
// which are never modified: a pass replaces a Weight by a new one.
//
// A weight of pattern N:M stores the N values of every group of M columns that its mask marks, in column
// order; all others are +0.0. M divides the columns. In int8 a value is its whole number times the scale of
// its row.
struct Weight {
  Pattern pattern;
  Encoding encoding = Encoding::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  const std::byte* data = nullptr;    // (rows, stored_cols()) in `encoding`
  std::shared_ptr<const void> owner;  // keeps data, mask and scales alive
  bool mapped = false;                // they lie in MappedFiles
  const std::byte* mask =
      nullptr;  // N:M only: (rows, mask_row_bytes(cols)), bit i of byte b is column 8b + i
  const std::byte* scales = nullptr;  // int8 only: (rows) of f32, finite, not negative; not aligned

  bool empty() const { return data == nullptr; }
  int64_t values() const { return rows * cols; }
  // Stored values of a row, and of all.
  int64_t stored_cols() const { return stored_cols(cols, pattern); }
  int64_t stored_values() const { return rows * stored_cols(); }
  // Of values, mask and scales.
  int64_t bytes() const;
  // Values, mask and scales; those that are not there are empty.
  std::array<std::span<const std::byte>, 3> parts() const;

  // Throws kFormat unless M divides the columns.
  static int64_t stored_cols(int64_t cols, Pattern pattern);
  static int64_t mask_row_bytes(int64_t cols) { return (cols + 7) / 8; }

  // Copies finite values into a new dense Weight, of int8 (round_to_int8) or an encodable encoding whose
  // blocks divide the rows.
  static Weight from_matrix(MatrixView<const float> values, Encoding encoding = Encoding::kF32);
  static Weight from_matrix(MatrixView<const double> values, Encoding encoding = Encoding::kF32);
};

// Takes a mapped weight's pages out of the process's memory until they are read again; nothing for others.
void release_pages(const Weight& weight);
// Whether no value is NaN or infinite.
bool all_finite(const Weight& weight);

// Rows [first, first + count), sharing the bytes.
Weight rows_of(const Weight& weight, int64_t first, int64_t count);
// Rows in another order: row r of the result is row order[r]. A copy; works on any pattern and encoding.
Weight gather_rows(const Weight& weight, std::span<const int64_t> order);

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
