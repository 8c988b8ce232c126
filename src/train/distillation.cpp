#include "train/distillation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "kernels/log_sum_exp.h"

namespace pare {
namespace {

constexpr double kLeast = 1e-30;  // probabilities below count as this in logarithms

// Returns the ids of the `count` largest values in descending order; equal ones go by their ids.
std::vector<int32_t> largest(std::span<const float> values, size_t count) {
  const auto before = [&](int32_t a, int32_t b) {
    const float x = values[static_cast<size_t>(a)];
    const float y = values[static_cast<size_t>(b)];
    return x > y || (x == y && a < b);
  };
  // Candidates are thinned out each time that there are four times as many as needed.
  std::vector<int32_t> found;
  const auto thin_out = [&] {
    std::nth_element(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(count) - 1, found.end(),
                     before);
    found.resize(count);
  };
  float least = -std::numeric_limits<float>::infinity();  // the least of the best, once there are enough
  bool enough = false;
  for (size_t i = 0; i < values.size(); ++i) {
    if (enough && values[i] <= least) continue;
    found.push_back(static_cast<int32_t>(i));
    if (found.size() < 4 * count) continue;
    thin_out();
    least = values[static_cast<size_t>(found.back())];
    enough = true;
  }
  if (found.size() > count) thin_out();
  std::sort(found.begin(), found.end(), before);
  return found;
}

}  // namespace

TeacherRow teacher_row(std::span<const float> logits) {
  TeacherRow row;
  const size_t kept = std::min(kTeacherTokens, logits.size());
  const std::vector<int32_t> order = largest(logits, kept);
  const double log_sum = log_sum_exp(logits);
  double sum = 0.0;
  for (size_t i = 0; i < kTeacherTokens; ++i) {
    row.ids[i] = i < kept ? order[i] : -1;
    const double log_p =
        i < kept ? static_cast<double>(logits[static_cast<size_t>(order[i])]) - log_sum : 0.0;
    row.log_probabilities[i] = static_cast<float>(log_p);
    if (i < kept) sum += std::exp(log_p);
  }
  row.rest = kept == logits.size() ? 0.0f : static_cast<float>(std::max(0.0, 1.0 - sum));
  return row;
}

// With q the softmax and r the class of tokens that are not kept: the gradient is q − p for a kept token, and
// q·(1 − p_r/q_r) for another.
double distil(const TeacherRow& teacher, double scale, std::span<float> logits) {
  softmax(logits);
  double kl = 0.0;
  std::array<float, kTeacherTokens> gradients;
  size_t kept = 0;
  for (; kept < gradients.size() && teacher.ids[kept] >= 0; ++kept) {
    float& q = logits[static_cast<size_t>(teacher.ids[kept])];
    const auto log_p = static_cast<double>(teacher.log_probabilities[kept]);
    const double p = std::exp(log_p);
    kl += p * (log_p - std::log(std::max(static_cast<double>(q), kLeast)));
    gradients[kept] = static_cast<float>(scale * (static_cast<double>(q) - p));
    q = 0.0f;
  }
  // Their sum is taken from the others themselves: what is missing to 1 may be rounding.
  const double rest = std::max(std::accumulate(logits.begin(), logits.end(), 0.0), kLeast);
  const auto teacher_rest = static_cast<double>(teacher.rest);
  if (teacher_rest > 0.0) kl += teacher_rest * std::log(teacher_rest / rest);
  const double factor = scale * (1.0 - teacher_rest / rest);
  for (float& q : logits) q = static_cast<float>(factor * static_cast<double>(q));
  for (size_t i = 0; i < kept; ++i) logits[static_cast<size_t>(teacher.ids[i])] = gradients[i];
  return kl;
}

}  // namespace pare
