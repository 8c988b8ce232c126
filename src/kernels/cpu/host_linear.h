// Linears that compute in the host's memory.
#pragma once

#include <vector>

#include "kernels/linear.h"

namespace pare {

// A product of some kernel, and the bias that is added to it.
class HostLinear : public PackedLinear {
 public:
  void apply(const Activation& x, const Activation& y) const noexcept final {
    apply(x.address(), y.address());
  }
  void apply(MatrixView<const float> x, MatrixView<float> y) const noexcept final;
  int64_t bytes() const final;
  // Takes the bias (out), or an empty one. `add` is y += x for n values.
  using Add = void (*)(const float* x, float* y, int64_t n);
  void set_bias(std::vector<float> bias, Add add);

 protected:
  using PackedLinear::PackedLinear;
  // y = x·Wᵀ, as PackedLinear::apply.
  virtual void multiply(MatrixView<const float> x, MatrixView<float> y) const noexcept = 0;
  virtual int64_t weight_bytes() const = 0;

 private:
  std::vector<float> bias_;
  Add add_ = nullptr;
};

}  // namespace pare
