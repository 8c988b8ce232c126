// Weight: the canonical matrix of a linear or embedding, as on disk; what passes read and replace.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "tensor/format.h"
#include "tensor/matrix.h"

namespace pare {

// rows × cols values, row-major in `format`. Copying shares the bytes (mapped files or a heap buffer), which
// are never modified: a pass replaces a Weight by a new one.
//
// A weight of pattern N:M stores the N values of every group of M columns that its mask marks, in column
// order; all others are +0.0. M divides the columns. A value of codes is (code − zero point) times the scale
// of its row and columns; without zero points an int4 code minus 8, an int8 code as it is.
struct Weight {
  WeightFormat format;
  int64_t rows = 0;
  int64_t cols = 0;
  const std::byte* data = nullptr;    // (rows, stored_cols()) in format.encoding
  std::shared_ptr<const void> owner;  // keeps all parts alive
  bool mapped = false;                // true: the parts lie in MappedFiles
  const std::byte* mask =
      nullptr;  // N:M only: (rows, mask_row_bytes(cols)), bit i of byte b is column 8b + i
  const std::byte* scales =
      nullptr;  // codes only: (rows, groups()) of format.scale_type, finite, not negative; not aligned
  const std::byte* zero_points = nullptr;  // format.zero_points only: (rows, groups()) of u8, codes

  bool empty() const { return data == nullptr; }
  int64_t values() const { return rows * cols; }
  // Number of stored values of a row, and of all rows.
  int64_t stored_cols() const { return stored_cols(cols, format.pattern); }
  int64_t stored_values() const { return rows * stored_cols(); }
  // Groups of columns of a row that have a scale.
  int64_t groups() const { return scales_of_row(format, cols); }
  int64_t bytes_of_scale() const { return row_bytes(format.scale_type, 1); }
  // Scale number i, row by row, groups() a row.
  float scale(int64_t i) const noexcept;
  // Bytes of all parts.
  int64_t bytes() const;
  // Values, mask, scales and zero points; parts that are not there are empty.
  std::array<std::span<const std::byte>, 4> parts() const;

  // Throws kFormat unless M divides the columns.
  static int64_t stored_cols(int64_t cols, Pattern pattern);
  static int64_t mask_row_bytes(int64_t cols) { return (cols + 7) / 8; }

  // Copies finite values into a new Weight of a dense format, of floats, codes or an encodable block
  // encoding. int8 has round_to_int8's scales, int4 those of least squared error (round_to_int4). Throws
  // kFormat when the rows do not divide into groups or blocks.
  static Weight from_matrix(MatrixView<const float> values, const WeightFormat& format = {});
  static Weight from_matrix(MatrixView<const double> values, const WeightFormat& format = {});
  // Returns a dense f32 weight that takes the values over.
  static Weight of_values(Matrix<float> values);
  // Returns a dense f32 weight that shares contiguous values: they must outlive it and its copies, which a
  // packed linear may hold.
  static Weight view_of(MatrixView<const float> values);
};

// Takes a mapped weight's pages out of the process's memory until they are read again; leaves other weights.
void release_pages(const Weight& weight);
// Returns whether no value is NaN or infinite.
bool all_finite(const Weight& weight);

// Rows [first, first + count), sharing the bytes.
Weight rows_of(const Weight& weight, int64_t first, int64_t count);
// Copies the rows in another order: row r of the result is row order[r]. Works on any format.
Weight gather_rows(const Weight& weight, std::span<const int64_t> order);

// Decodes row r to f32, cols values: the meaning of every format.
void decode_row(const Weight& weight, int64_t r, float* out) noexcept;
// Number of rows of all weights of a stack.
int64_t stacked_rows(std::span<const Weight> stack);
// Returns the weight of a stack that holds its row r, which becomes the row of that weight.
const Weight& weight_of_row(std::span<const Weight> stack, int64_t& r) noexcept;
// Decodes row r of weights on top of each other: the rows of the first, then of the second, ...
void decode_row(std::span<const Weight> stack, int64_t r, float* out) noexcept;
// Row r of a stack as whole numbers of -128..127, kept as f32, and the scale that brings them back, which is
// returned. The codes and scale of an int8 weight with one scale a row are given as they are (zeros where the
// scale is 0); any other row is rounded (round_to_int8).
float int8_row(std::span<const Weight> stack, int64_t r, float* out) noexcept;
// Decodes the whole weight, (rows, cols).
Matrix<float> decode(const Weight& weight);
Matrix<double> decode_f64(const Weight& weight);

}  // namespace pare
