#include "runtime/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "kernels/cpu/vector_ops.h"

namespace pare {
namespace {

void require(bool ok, const char* option, double value, const char* expected) {
  if (!ok || !std::isfinite(value))
    fail(ErrorCode::kUsage, "`{}` is {}, expected {}", option, value, expected);
}

// Calls body(score, count) for every token of a history.
template <typename Body>
void for_each_token(std::span<float> scores, std::span<const int32_t> history, Body&& body) {
  std::vector<int32_t> seen(history.begin(), history.end());
  std::sort(seen.begin(), seen.end());
  for (auto first = seen.begin(); first != seen.end();) {
    const auto next = std::upper_bound(first, seen.end(), *first);
    PARE_CHECK(*first >= 0 && static_cast<size_t>(*first) < scores.size());
    body(scores[static_cast<size_t>(*first)], static_cast<double>(next - first));
    first = next;
  }
}

}  // namespace

void validate(const SamplingOptions& o) {
  require(o.temperature >= 0.0, "temperature", o.temperature, "0 or more");
  require(o.top_k >= 0, "top_k", static_cast<double>(o.top_k), "0 or more");
  require(o.top_p > 0.0 && o.top_p <= 1.0, "top_p", o.top_p, "more than 0, at most 1");
  require(o.min_p >= 0.0 && o.min_p <= 1.0, "min_p", o.min_p, "0..1");
  require(o.repetition_penalty > 0.0, "repetition_penalty", o.repetition_penalty, "more than 0");
  require(true, "frequency_penalty", o.frequency_penalty, "a number");
  require(true, "presence_penalty", o.presence_penalty, "a number");
  for (const auto& [id, bias] : o.logit_bias) {
    require(id >= 0, "a token of logit_bias", id, "0 or more");
    require(true, "a value of logit_bias", static_cast<double>(bias), "a number");
  }
}

Sampler::Sampler(const SamplingOptions& options) : options_(options), rng_(options.seed) {
  validate(options);
}

void Sampler::adjust(std::span<const int32_t> history, size_t generated, std::span<const int32_t> forbidden) {
  for (const auto& [id, bias] : options_.logit_bias) {
    PARE_CHECK(static_cast<size_t>(id) < scores_.size());
    scores_[static_cast<size_t>(id)] += bias;
  }
  if (options_.repetition_penalty != 1.0) {
    const auto penalty = static_cast<float>(options_.repetition_penalty);
    for_each_token(scores_, history, [&](float& score, double /*count*/) {
      score = score > 0.0f ? score / penalty : score * penalty;
    });
  }
  if (options_.frequency_penalty != 0.0 || options_.presence_penalty != 0.0)
    for_each_token(scores_, history.last(generated), [&](float& score, double count) {
      score -= static_cast<float>(options_.frequency_penalty * count + options_.presence_penalty);
    });
  // Scores of forbidden ids are finite, so that a set of scores is left even when every id is forbidden.
  for (const int32_t id : forbidden)
    if (static_cast<size_t>(id) < scores_.size())
      scores_[static_cast<size_t>(id)] = std::numeric_limits<float>::lowest();
}

int32_t Sampler::sample(std::span<const float> logits, std::span<const int32_t> history, size_t generated,
                        std::span<const int32_t> forbidden) {
  scores_.assign(logits.begin(), logits.end());
  adjust(history, generated, forbidden);
  const auto best = std::max_element(scores_.begin(), scores_.end());
  if (options_.temperature == 0.0) return static_cast<int32_t>(best - scores_.begin());

  // Scores become probabilities relative to the best token's.
  const VectorOps& ops = vector_ops();
  const auto size = static_cast<int64_t>(scores_.size());
  const float top = *best;
  for (float& score : scores_) score -= top;
  ops.scale(static_cast<float>(std::min(1.0 / options_.temperature, 1e30)), scores_.data(), size);
  ops.exp_sum(scores_.data(), 0.0f, size);
  const auto weight = [&](int32_t id) { return static_cast<double>(scores_[static_cast<size_t>(id)]); };
  order_.resize(scores_.size());
  std::iota(order_.begin(), order_.end(), 0);
  const auto more_likely = [&](int32_t a, int32_t b) {
    const float x = scores_[static_cast<size_t>(a)];
    const float y = scores_[static_cast<size_t>(b)];
    return x > y || (x == y && a < b);
  };
  size_t kept = order_.size();
  if (options_.top_k > 0 && static_cast<size_t>(options_.top_k) < kept) {
    kept = static_cast<size_t>(options_.top_k);
    std::nth_element(order_.begin(), order_.begin() + static_cast<int64_t>(kept), order_.end(), more_likely);
    order_.resize(kept);
    std::sort(order_.begin(), order_.end());  // a draw does not depend on how the library selects
  }
  if (options_.top_p < 1.0) {
    std::sort(order_.begin(), order_.end(), more_likely);
    double total = 0.0;
    for (const int32_t id : order_) total += weight(id);
    double cumulative = 0.0;
    size_t n = 0;
    while (n < order_.size() && cumulative < options_.top_p * total) cumulative += weight(order_[n++]);
    order_.resize(n);
  }
  if (options_.min_p > 0.0) std::erase_if(order_, [&](int32_t id) { return weight(id) < options_.min_p; });

  double total = 0.0;
  for (const int32_t id : order_) total += weight(id);
  double target = rng_.uniform() * total;
  for (const int32_t id : order_) {
    target -= weight(id);
    if (target < 0.0) return id;
  }
  return order_.back();
}

}  // namespace pare
