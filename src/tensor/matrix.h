// Dense row-major matrices: views that state their shape, and owners.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "base/aligned_buffer.h"
#include "base/error.h"

namespace pare {

// A view of rows × cols elements, row r at data + r * stride. Does not own.
template <typename T>
struct MatrixView {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;

  T* row(int64_t r) const { return data + r * stride; }
  T& operator()(int64_t r, int64_t c) const { return data[r * stride + c]; }
  MatrixView block(int64_t r, int64_t c, int64_t n_rows, int64_t n_cols) const {
    return {data + r * stride + c, n_rows, n_cols, stride};
  }
  MatrixView rows_of(int64_t first, int64_t count) const { return block(first, 0, count, cols); }
  operator MatrixView<const T>() const { return {data, rows, cols, stride}; }
};

// Owns rows × cols elements, contiguous, 64-byte aligned; movable. `Matrix(r, c)` is uninitialised.
template <typename T>
class Matrix {
 public:
  Matrix() = default;
  Matrix(int64_t rows, int64_t cols)
      : buffer_(static_cast<size_t>(rows) * static_cast<size_t>(cols)), rows_(rows), cols_(cols) {
    PARE_CHECK(rows >= 0 && cols >= 0);
  }
  static Matrix zeros(int64_t rows, int64_t cols) {
    Matrix m(rows, cols);
    std::fill_n(m.data(), rows * cols, T{});
    return m;
  }
  static Matrix identity(int64_t n) {
    Matrix m = zeros(n, n);
    for (int64_t i = 0; i < n; ++i) m(i, i) = T{1};
    return m;
  }
  Matrix clone() const {
    Matrix m(rows_, cols_);
    std::copy_n(data(), rows_ * cols_, m.data());
    return m;
  }

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  int64_t size() const { return rows_ * cols_; }
  bool empty() const { return size() == 0; }
  T* data() { return buffer_.data(); }
  const T* data() const { return buffer_.data(); }
  T* row(int64_t r) { return data() + r * cols_; }
  const T* row(int64_t r) const { return data() + r * cols_; }
  T& operator()(int64_t r, int64_t c) { return data()[r * cols_ + c]; }
  const T& operator()(int64_t r, int64_t c) const { return data()[r * cols_ + c]; }
  MatrixView<T> view() { return {data(), rows_, cols_, cols_}; }
  MatrixView<const T> view() const { return {data(), rows_, cols_, cols_}; }

 private:
  AlignedBuffer<T> buffer_;
  int64_t rows_ = 0;
  int64_t cols_ = 0;
};

// Copies from (rows, cols) to the same shape.
template <typename T>
void copy_rows(MatrixView<const T> from, MatrixView<T> to) {
  PARE_CHECK(from.rows == to.rows && from.cols == to.cols);
  for (int64_t r = 0; r < from.rows; ++r) std::copy_n(from.row(r), from.cols, to.row(r));
}

// Copies the elements of a view into a matrix of its own.
template <typename T>
Matrix<std::remove_const_t<T>> copy_of(MatrixView<T> m) {
  Matrix<std::remove_const_t<T>> copy(m.rows, m.cols);
  copy_rows<std::remove_const_t<T>>(m, copy.view());
  return copy;
}

}  // namespace pare
