// Softmax over rows of logits, as exact as figures that people compare need it.
#pragma once

#include <span>
#include <vector>

namespace pare {

// ln Σ e^value, of one value or more. Exponentials in f32, their sum in f64.
double log_sum_exp(std::span<const float> values);

// Replaces logits, one or more, by their softmax, with exponentials and sums as log_sum_exp() has them.
void softmax(std::span<float> logits);

// A row of logits whose softmax that of other rows is compared with.
class ReferenceRow {
 public:
  // Keeps a view of the logits, (vocab).
  explicit ReferenceRow(std::span<const float> logits);

  double log_sum() const { return log_sum_; }  // log_sum_exp of the row
  // Returns KL(softmax of the row || softmax of `other`) in nats; `log_sum` is log_sum_exp(other).
  double kl(std::span<const float> other, double log_sum) const;

 private:
  std::span<const float> logits_;
  std::vector<float> exps_;  // e^(logit − max)
  double sum_ = 0.0;         // sum of these
  double log_sum_;
};

}  // namespace pare
