// Products nearly as exact as f32, made of bf16 ones.
#pragma once

#include <memory>

#include "base/bf16.h"
#include "kernels/cpu/host_linear.h"

namespace pare {

// Returns what the nearest bf16 leaves of a value.
inline float bf16_rest(float value) { return value - nearest_bf16(value); }

// x·Wᵀ as three products of bf16: x and W are each the sum of two bf16 parts, and the product of the small
// parts, 2⁻¹⁶ of the whole, is left out.
class SplitLinear final : public HostLinear {
 public:
  // Takes linears of equal shape that compute in bf16: of W, and of what bf16 leaves of W.
  SplitLinear(std::unique_ptr<HostLinear> high, std::unique_ptr<HostLinear> low);

 protected:
  void multiply(MatrixView<const float> x, MatrixView<float> y) const noexcept override;
  int64_t weight_bytes() const override { return high_->bytes() + low_->bytes(); }

 private:
  std::unique_ptr<HostLinear> high_;
  std::unique_ptr<HostLinear> low_;
};

}  // namespace pare
