#include "compress/slice/rotate.h"

#include "model/visit.h"

namespace pare {
namespace {

void rotate_bias(std::vector<float>& bias, MatrixView<const double> q) {
  if (bias.empty()) return;
  std::vector<float> rotated(static_cast<size_t>(q.cols));
  for (int64_t j = 0; j < q.cols; ++j) {
    double sum = 0.0;
    for (int64_t i = 0; i < q.rows; ++i) sum += q(i, j) * bias[static_cast<size_t>(i)];
    rotated[static_cast<size_t>(j)] = static_cast<float>(sum);
  }
  bias = std::move(rotated);
}

}  // namespace

Weight rotate_reader(const Weight& weight, MatrixView<const double> q) {
  const Matrix<double> w = decode_f64(weight);
  const Matrix<double> rotated = matmul(w.view(), q);
  return Weight::from_matrix(rotated.view());
}

Weight rotate_writer(const Weight& weight, MatrixView<const double> q) {
  const Matrix<double> w = decode_f64(weight);
  const Matrix<double> rotated = matmul_tn(q, w.view());
  return Weight::from_matrix(rotated.view());
}

Stage rotate_stage(const Stage& stage, MatrixView<const double> q_in, MatrixView<const double> q_out) {
  Stage rotated = stage;
  for_each_linear(rotated, [&](Role role, Linear& linear) {
    if (reads_residual(role)) linear.weight = rotate_reader(linear.weight, q_in);
    if (writes_residual(role)) {
      linear.weight = rotate_writer(linear.weight, q_out);
      rotate_bias(linear.bias, q_out);
    }
  });
  if (!stage.skip.empty()) {
    rotated.skip = rotate_writer(rotate_reader(stage.skip, q_in), q_out);
  } else if (q_in.data != q_out.data) {
    const Matrix<double> product = matmul_tn(q_out, q_in);
    rotated.skip = Weight::from_matrix(product.view());
  }
  return rotated;
}

}  // namespace pare
