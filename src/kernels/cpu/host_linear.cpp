#include "kernels/cpu/host_linear.h"

namespace pare {

void HostLinear::apply(MatrixView<const float> x, MatrixView<float> y) const noexcept {
  multiply(x, y);
  if (bias_.empty()) return;
  for (int64_t t = 0; t < y.rows; ++t) add_(bias_.data(), y.row(t), y.cols);
}

int64_t HostLinear::bytes() const {
  return weight_bytes() + static_cast<int64_t>(bias_.size() * sizeof(float));
}

void HostLinear::set_bias(std::vector<float> bias, Add add) {
  PARE_CHECK(bias.empty() || static_cast<int64_t>(bias.size()) == out_features());
  bias_ = std::move(bias);
  add_ = add;
}

}  // namespace pare
