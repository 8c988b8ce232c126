// A linear made of others that read the same input.
#pragma once

#include <memory>
#include <vector>

#include "kernels/cpu/host_linear.h"

namespace pare {

// Outputs of the first part, then of the second, …: for weights that no kernel runs together.
class PartsLinear final : public HostLinear {
 public:
  // Takes two parts or more with the same number of inputs. The name of the kernel is the first one's.
  explicit PartsLinear(std::vector<std::unique_ptr<HostLinear>> parts);

 protected:
  void multiply(MatrixView<const float> x, MatrixView<float> y) const noexcept override;
  int64_t weight_bytes() const override;

 private:
  std::vector<std::unique_ptr<HostLinear>> parts_;
};

}  // namespace pare
