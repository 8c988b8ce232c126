#include "compress/solve/gram.h"

#include <utility>

#include "linalg/linalg.h"

namespace pare {

void gram_accumulate(const Activation& x, const double* row_weights, MatrixView<double> h) {
  x.backend().gram_accumulate(x, row_weights, h);
}

void gram_accumulate(MatrixView<const float> x, const double* row_weights, MatrixView<double> h) {
  gram_accumulate(default_backend().borrow(x), row_weights, h);
}

Matrix<double> gram_total(ChunkSum&& sum) {
  Matrix<double> h = std::move(sum).total();
  mirror_lower(h.view());
  return h;
}

double gram_inner_product(MatrixView<const float> x, MatrixView<const double> h) {
  return default_backend().gram_inner_product(default_backend().borrow(x), h);
}

void cross_accumulate(MatrixView<const float> x, MatrixView<const float> y, const double* row_weights,
                      MatrixView<double> c) {
  const Backend& on = default_backend();
  on.cross_accumulate(on.borrow(x), on.borrow(y), row_weights, c);
}

}  // namespace pare
