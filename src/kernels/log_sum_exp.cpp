#include "kernels/log_sum_exp.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "kernels/cpu/vector_ops.h"

namespace pare {
namespace {

// Vector operations sum in f32: short pieces of so many values, added in f64, keep the error of a whole
// vocabulary small.
constexpr size_t kSumPiece = 1024;

float largest(std::span<const float> values) {
  return vector_ops().max(values.data(), static_cast<int64_t>(values.size()));
}

// Returns Σ sum(first, count) over the pieces of a row of n values.
template <typename Sum>
double sum_of_pieces(size_t n, const Sum& sum) {
  double total = 0.0;
  for (size_t first = 0; first < n; first += kSumPiece)
    total += static_cast<double>(sum(first, static_cast<int64_t>(std::min(kSumPiece, n - first))));
  return total;
}

}  // namespace

double log_sum_exp(std::span<const float> values) {
  const VectorOps& ops = vector_ops();
  const float max = largest(values);
  std::array<float, kSumPiece> exps;
  const double sum = sum_of_pieces(values.size(), [&](size_t first, int64_t count) {
    std::copy_n(values.data() + first, count, exps.data());
    return ops.exp_sum(exps.data(), max, count);
  });
  return static_cast<double>(max) + std::log(sum);
}

void softmax(std::span<float> logits) {
  const VectorOps& ops = vector_ops();
  const float max = largest(logits);
  const double sum = sum_of_pieces(logits.size(), [&](size_t first, int64_t count) {
    return ops.exp_sum(logits.data() + first, max, count);
  });
  ops.scale(static_cast<float>(1.0 / sum), logits.data(), static_cast<int64_t>(logits.size()));
}

ReferenceRow::ReferenceRow(std::span<const float> logits)
    : logits_(logits), exps_(logits.begin(), logits.end()) {
  const VectorOps& ops = vector_ops();
  const float max = largest(logits);
  sum_ = sum_of_pieces(exps_.size(), [&](size_t first, int64_t count) {
    return ops.exp_sum(exps_.data() + first, max, count);
  });
  log_sum_ = static_cast<double>(max) + std::log(sum_);
}

// KL = Σ p (a − b) − ln Σe^a + ln Σe^b, with a the row's logits and b those of the other row. Differences of
// neighbouring logits are small, so they lose less than the two sums would.
double ReferenceRow::kl(std::span<const float> other, double log_sum) const {
  PARE_CHECK(other.size() == logits_.size());
  const VectorOps& ops = vector_ops();
  std::array<float, kSumPiece> apart;
  const double gap = sum_of_pieces(other.size(), [&](size_t first, int64_t count) {
    std::copy_n(logits_.data() + first, count, apart.data());
    ops.axpy(-1.0f, other.data() + first, apart.data(), count);
    return ops.dot(exps_.data() + first, apart.data(), count);
  });
  return gap / sum_ - log_sum_ + log_sum;
}

}  // namespace pare
