#include "compress/slice/rotate.h"

#include <algorithm>
#include <memory>

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

// The first rows and columns of an f32 weight.
Weight leading_block(const Weight& weight, int64_t rows, int64_t cols) {
  PARE_CHECK(weight.format.encoding == Encoding::kF32);
  return Weight::from_matrix(
      MatrixView<const float>{reinterpret_cast<const float*>(weight.data), rows, cols, weight.cols});
}

}  // namespace

Weight rotate_reader(const Weight& weight, MatrixView<const double> q) {
  // Rows are rotated in pieces: an embedding in f64 would be the largest thing in memory.
  constexpr int64_t kRows = 4096;
  auto rotated = std::make_shared<Matrix<float>>(weight.rows, q.cols);
  for (int64_t first = 0; first < weight.rows; first += kRows) {
    const Matrix<double> w = decode_f64(rows_of(weight, first, std::min(kRows, weight.rows - first)));
    const Matrix<double> part = matmul(w.view(), q);
    std::copy_n(part.data(), part.size(), rotated->row(first));
  }
  Weight result;
  result.rows = weight.rows;
  result.cols = q.cols;
  result.data = reinterpret_cast<const std::byte*>(rotated->data());
  result.owner = std::move(rotated);
  return result;
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

Stage leading_part(const Stage& rotated, int64_t width_in, int64_t width_out) {
  Stage part = rotated;
  for_each_linear(part, [&](Role role, Linear& linear) {
    if (reads_residual(role)) linear.weight = leading_block(linear.weight, linear.weight.rows, width_in);
    if (!writes_residual(role)) return;
    linear.weight = leading_block(linear.weight, width_out, linear.weight.cols);
    if (!linear.bias.empty()) linear.bias.resize(static_cast<size_t>(width_out));
  });
  if (!part.skip.empty()) part.skip = leading_block(part.skip, width_out, width_in);
  return part;
}

}  // namespace pare
