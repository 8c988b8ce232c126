#include "kernels/log_sum_exp.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/vector_ops.h"

namespace pare {

double exp_sum(std::span<float> values, float max) {
  const VectorOps& ops = vector_ops();
  const auto n = static_cast<int64_t>(values.size());
  double sum = 0.0;
  for (int64_t i = 0; i < n; i += kSumPiece)
    sum += static_cast<double>(ops.exp_sum(values.data() + i, max, std::min(kSumPiece, n - i)));
  return sum;
}

double log_sum_exp(std::span<float> values, float max) {
  return static_cast<double>(max) + std::log(exp_sum(values, max));
}

}  // namespace pare
