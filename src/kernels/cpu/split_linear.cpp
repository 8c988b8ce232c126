#include "kernels/cpu/split_linear.h"

#include "base/parallel.h"

namespace pare {

SplitLinear::SplitLinear(std::unique_ptr<HostLinear> high, std::unique_ptr<HostLinear> low)
    : HostLinear(high->out_features(), high->in_features(), high->kernel()),
      high_(std::move(high)),
      low_(std::move(low)) {
  PARE_CHECK(low_->out_features() == out_features() && low_->in_features() == in_features());
}

void SplitLinear::multiply(MatrixView<const float> x, MatrixView<float> y) const noexcept {
  // Memory stays with the thread: solvers call this in loops with batches of one size.
  thread_local Matrix<float> rest;
  thread_local Matrix<float> part;
  if (rest.rows() != x.rows || rest.cols() != x.cols) rest = Matrix<float>(x.rows, x.cols);
  if (part.rows() != y.rows || part.cols() != y.cols) part = Matrix<float>(y.rows, y.cols);
  // Threads inside must see the caller's matrices, not their own.
  Matrix<float>& x_rest = rest;
  Matrix<float>& product = part;
  parallel_for(x.rows, [&](int64_t r) {
    for (int64_t c = 0; c < x.cols; ++c) x_rest(r, c) = bf16_rest(x(r, c));
  });
  high_->apply(x, y);
  const auto add = [&](const HostLinear& linear, MatrixView<const float> in) {
    linear.apply(in, product.view());
    parallel_for(y.rows, [&](int64_t r) {
      for (int64_t c = 0; c < y.cols; ++c) y(r, c) += product(r, c);
    });
  };
  add(*high_, std::as_const(x_rest).view());
  add(*low_, x);
}

}  // namespace pare
