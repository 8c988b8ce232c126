#include "kernels/cpu/parts_linear.h"

#include "base/error.h"

namespace pare {
namespace {

int64_t outputs_of(const std::vector<std::unique_ptr<HostLinear>>& parts) {
  int64_t sum = 0;
  for (const auto& part : parts) sum += part->out_features();
  return sum;
}

}  // namespace

PartsLinear::PartsLinear(std::vector<std::unique_ptr<HostLinear>> parts)
    : HostLinear(outputs_of(parts), parts.front()->in_features(), parts.front()->kernel()),
      parts_(std::move(parts)) {
  for (const auto& part : parts_) PARE_CHECK(part->in_features() == in_features());
}

void PartsLinear::multiply(MatrixView<const float> x, MatrixView<float> y) const noexcept {
  int64_t first = 0;
  for (const auto& part : parts_) {
    part->apply(x, y.block(0, first, y.rows, part->out_features()));
    first += part->out_features();
  }
}

int64_t PartsLinear::weight_bytes() const {
  int64_t sum = 0;
  for (const auto& part : parts_) sum += part->bytes();
  return sum;
}

}  // namespace pare
