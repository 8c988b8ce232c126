#include "compress/calibrate/linear_solver.h"

#include <algorithm>

#include "compress/solve/gram.h"

namespace pare {

// tr(A·H·Aᵀ) for H = damped − damping·I.
double OutputError::energy(const Matrix<float>& a) const {
  double squares = 0.0;
  for (int64_t i = 0; i < a.size(); ++i) squares += static_cast<double>(a.data()[i]) * a.data()[i];
  return gram_inner_product(a.view(), damped_) - damping_ * squares;
}

void OutputError::add(MatrixView<const double> target, const Matrix<double>& values) {
  Matrix<float> rows(target.rows, target.cols);
  for (int64_t r = 0; r < target.rows; ++r)
    for (int64_t c = 0; c < target.cols; ++c) rows(r, c) = static_cast<float>(target(r, c));
  output_ += energy(rows);
  for (int64_t r = 0; r < target.rows; ++r)
    for (int64_t c = 0; c < target.cols; ++c) rows(r, c) = static_cast<float>(target(r, c) - values(r, c));
  lost_ += energy(rows);
}

// T = (C + λW)·(H + λI)⁻¹ for C = Σ y·xᵀ.
Matrix<double> MatchingWeights::rows(int64_t first, const Matrix<double>& weight) const {
  Matrix<double> right = copy_of(cross_.view().rows_of(first, weight.rows()));
  for (int64_t i = 0; i < right.size(); ++i) right.data()[i] += damping_ * weight.data()[i];
  return factor_.backward(factor_.forward(std::as_const(right).view()).view());
}

void CalibratedLinear::for_each_rows(const std::function<void(const LinearRows&)>& solve) const {
  for (int64_t first = 0; first < weight_.rows; first += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, weight_.rows - first);
    const Matrix<double> weight = decode_f64(rows_of(weight_, first, count));
    Matrix<double> target;
    if (matching_ != nullptr) target = matching_->rows(first, weight);
    solve({first, weight.view(), matching_ != nullptr ? std::as_const(target).view() : weight.view()});
  }
}

Encoding permuted_encoding(const Weight& weight) {
  const Encoding own = weight.format.encoding;
  return is_float(own) ? own : Encoding::kF32;
}

}  // namespace pare
