#include "compress/slice/subspace_cut.h"

#include "tensor/transposed.h"

namespace pare {

SubspaceCut::SubspaceCut(const Matrix<double>& q, int64_t kept, ComputeType compute)
    : removes_(2 * kept > q.cols()) {
  const int64_t first = removes_ ? kept : 0;
  const int64_t count = removes_ ? q.cols() - kept : kept;
  if (count == 0) return;
  const MatrixView<const double> directions = q.view().block(0, first, q.rows(), count);  // (D, count)
  const Matrix<double> turned = transposed(directions);
  into_ = pack_linear(Weight::from_matrix(turned.view()), compute);
  back_ = pack_linear(Weight::from_matrix(directions), compute);
}

void SubspaceCut::apply(MatrixView<float> x) const {
  if (!into_) return;
  Matrix<float> components(x.rows, into_->out_features());
  into_->apply(x, components.view());
  if (!removes_) return back_->apply(components.view(), x);
  Matrix<float> part(x.rows, x.cols);
  back_->apply(components.view(), part.view());
  for (int64_t t = 0; t < x.rows; ++t) {
    float* row = x.row(t);
    const float* p = part.row(t);
    for (int64_t c = 0; c < x.cols; ++c) row[c] -= p[c];
  }
}

}  // namespace pare
