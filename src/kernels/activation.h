// Rows of a batch in the memory of the backend that computes with them.
#pragma once

#include <cstdint>
#include <memory>

#include "tensor/matrix.h"

namespace pare {

class Backend;

// A handle of rows × cols f32 values: copies and blocks refer to the same memory, which exists as long as one
// of them does. Only the backend that made it reaches the values; Backend::download brings them to the host.
class Activation {
 public:
  Activation() = default;
  // Makes a handle, for backends. `data` is an address in the memory of `backend`, `owner` keeps it alive.
  Activation(const Backend& backend, std::shared_ptr<void> owner, float* data, int64_t rows, int64_t cols,
             int64_t stride)
      : backend_(&backend),
        owner_(std::move(owner)),
        data_(data),
        rows_(rows),
        cols_(cols),
        stride_(stride) {}

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  bool empty() const { return rows_ * cols_ == 0; }
  const Backend& backend() const { return *backend_; }

  Activation block(int64_t row, int64_t col, int64_t rows, int64_t cols) const {
    PARE_CHECK(row >= 0 && col >= 0 && rows >= 0 && cols >= 0 && row + rows <= rows_ && col + cols <= cols_);
    return {*backend_, owner_, data_ + row * stride_ + col, rows, cols, stride_};
  }
  Activation rows_of(int64_t first, int64_t count) const { return block(first, 0, count, cols_); }
  Activation columns_of(int64_t first, int64_t count) const { return block(0, first, rows_, count); }

  // Returns the address of the values, for backends. `owner` is an implementation's own business.
  MatrixView<float> address() const { return {data_, rows_, cols_, stride_}; }
  const std::shared_ptr<void>& owner() const { return owner_; }

 private:
  const Backend* backend_ = nullptr;
  std::shared_ptr<void> owner_;
  float* data_ = nullptr;
  int64_t rows_ = 0;
  int64_t cols_ = 0;
  int64_t stride_ = 0;
};

// Downloaded rows. They stay valid as long as this object exists, even without the activation.
class HostRows {
 public:
  // `owner` is the matrix that holds the values; null: the view refers to memory of the caller.
  HostRows(std::shared_ptr<Matrix<float>> owner, MatrixView<const float> view)
      : owner_(std::move(owner)), view_(view) {}

  MatrixView<const float> view() const { return view_; }
  // The rows as a matrix of their own. No copy is made where nothing else refers to their memory.
  Matrix<float> matrix() &&;

 private:
  std::shared_ptr<Matrix<float>> owner_;
  MatrixView<const float> view_;
};

}  // namespace pare
