#include "eval/perplexity.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "base/parallel.h"
#include "eval/token_scores.h"
#include "runtime/forward.h"

namespace pare {
namespace {

// Positions whose logits exist at once: with a vocabulary of 128,000, 64 MB a model.
constexpr int64_t kRowsPerPiece = 128;

class Stopwatch {
 public:
  explicit Stopwatch(double& total) : total_(total) {}
  ~Stopwatch() { total_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  double& total_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

void check_models(std::span<const PackedModel* const> models, int64_t seqlen) {
  for (const PackedModel* model : models) {
    if (model->config.vocab_size != models[0]->config.vocab_size)
      fail(ErrorCode::kInvalid, "the models' vocabularies differ: {} and {} tokens",
           models[0]->config.vocab_size, model->config.vocab_size);
    if (seqlen > model->config.max_positions)
      fail(ErrorCode::kInvalid, "a window of {} tokens exceeds the model's context of {}", seqlen,
           model->config.max_positions);
  }
}

// Sums of the scores of one window.
class WindowRun {
 public:
  WindowRun(std::span<const PackedModel* const> models, std::span<const int32_t> window,
            std::span<KvCache> caches, std::span<PerplexityResult> results, std::span<std::vector<float>> kls)
      : models_(models), window_(window), results_(results), kls_(kls), nll_(models.size()) {
    for (size_t m = 0; m < models.size(); ++m) {
      const Stopwatch watch(results[m].seconds);
      caches[m].truncate(0);
      hidden_.push_back(forward(*models[m], window, caches[m]));
    }
    const auto targets = static_cast<int64_t>(window.size()) - 1;
    for (int64_t first = 0; first < targets; first += kRowsPerPiece)
      score_piece(first, std::min(kRowsPerPiece, targets - first));
    for (size_t m = 0; m < models.size(); ++m)
      results[m].window_nll.push_back(nll_[m] / static_cast<double>(targets));
  }

 private:
  void score_piece(int64_t first, int64_t rows) {
    const size_t count = models_.size();
    std::vector<Matrix<float>> logits;
    for (size_t m = 0; m < count; ++m) {
      const Stopwatch watch(results_[m].seconds);
      logits.push_back(logits_of(*models_[m], hidden_[m].rows_of(first, rows)));
    }
    std::vector<TokenScore> scores(static_cast<size_t>(rows) * count);
    parallel_for(rows, [&](int64_t r) {
      std::vector<const float*> row;
      for (const auto& matrix : logits) row.push_back(matrix.row(r));
      score_token(row, logits[0].cols(), window_[static_cast<size_t>(first + r + 1)],
                  std::span(scores).subspan(static_cast<size_t>(r) * count, count));
    });
    for (size_t i = 0; i < scores.size(); ++i) {
      nll_[i % count] += scores[i].nll;
      results_[i % count].kl += scores[i].kl;
      kls_[i % count].push_back(static_cast<float>(scores[i].kl));
      results_[i % count].top1 += scores[i].top1 ? 1.0 : 0.0;
    }
  }

  std::span<const PackedModel* const> models_;
  std::span<const int32_t> window_;
  std::span<PerplexityResult> results_;
  std::span<std::vector<float>> kls_;  // KL of each target so far, by model
  std::vector<double> nll_;            // by model
  std::vector<Activation> hidden_;
};

}  // namespace

double PerplexityResult::mean_nll() const {
  return std::accumulate(window_nll.begin(), window_nll.end(), 0.0) / static_cast<double>(window_nll.size());
}

double PerplexityResult::perplexity() const { return std::exp(mean_nll()); }

std::optional<double> PerplexityResult::standard_error() const {
  const auto n = static_cast<double>(window_nll.size());
  if (n < 2) return std::nullopt;
  const double mean = mean_nll();
  double squares = 0.0;
  for (const double nll : window_nll) squares += (nll - mean) * (nll - mean);
  return std::exp(mean) * std::sqrt(squares / (n - 1) / n);
}

double percentile(std::vector<float>& values, double fraction) {
  PARE_CHECK(!values.empty() && fraction >= 0.0 && fraction <= 1.0);
  const double rank = fraction * static_cast<double>(values.size() - 1);
  const auto below = values.begin() + static_cast<int64_t>(rank);
  std::nth_element(values.begin(), below, values.end());
  const double share = rank - std::floor(rank);
  const auto above = share > 0.0 ? std::min_element(below + 1, values.end()) : below;
  return (1.0 - share) * static_cast<double>(*below) + share * static_cast<double>(*above);
}

int64_t window_count(int64_t tokens, const PerplexityOptions& options) {
  if (options.seqlen < 2) fail(ErrorCode::kUsage, "`seqlen` is {}, expected 2 or more", options.seqlen);
  if (options.windows < 0) fail(ErrorCode::kUsage, "`windows` is {}, expected 1 or more", options.windows);
  const int64_t available = tokens / options.seqlen;
  if (available == 0)
    fail(ErrorCode::kInvalid, "the text has {} tokens, less than one window of {}", tokens, options.seqlen);
  return options.windows == 0 ? available : std::min(available, options.windows);
}

std::vector<PerplexityResult> measure_perplexity(std::span<const PackedModel* const> models,
                                                 std::span<const int32_t> tokens,
                                                 const PerplexityOptions& options,
                                                 const EvalProgress& progress) {
  PARE_CHECK(!models.empty());
  const int64_t windows = window_count(static_cast<int64_t>(tokens.size()), options);
  check_models(models, options.seqlen);
  std::vector<KvCache> caches;
  for (const PackedModel* model : models) caches.emplace_back(*model, options.seqlen);
  std::vector<PerplexityResult> results(models.size());
  std::vector<std::vector<float>> kls(models.size());
  for (int64_t w = 0; w < windows; ++w) {
    const WindowRun run(
        models, tokens.subspan(static_cast<size_t>(w * options.seqlen), static_cast<size_t>(options.seqlen)),
        caches, results, kls);
    if (progress) progress(w + 1, windows);
  }
  const double targets = static_cast<double>(windows * (options.seqlen - 1));
  for (size_t m = 0; m < results.size(); ++m) {
    results[m].kl /= targets;
    results[m].kl_99 = percentile(kls[m], 0.99);
    results[m].top1 /= targets;
  }
  return results;
}

}  // namespace pare
