// Perplexity of several models on one text, side by side, with their distance from the first.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "runtime/packed_model.h"

namespace pare {

struct PerplexityOptions {
  int64_t seqlen = 2048;  // tokens of a window
  int64_t windows = 0;    // windows to use, from the first; 0: all
};

struct PerplexityResult {
  std::vector<double> window_nll;  // mean NLL of the window's targets, nats
  double kl = 0.0;                 // mean over targets of KL(first model || this model), nats
  double kl_99 = 0.0;              // 99th percentile over targets of the same
  double top1 = 0.0;               // share of targets where the most probable token is the first model's
  double seconds = 0.0;            // time in this model's forward passes

  double mean_nll() const;
  double perplexity() const;
  // Standard error of the perplexity, from the spread between windows, which a single window does not have.
  std::optional<double> standard_error() const;
};

// Number of whole windows in a text of `tokens` tokens (the tail is dropped), at most options.windows. Throws
// kUsage when an option is out of range and kInvalid when the text is shorter than a window.
int64_t window_count(int64_t tokens, const PerplexityOptions& options);

// Returns the value that the share `fraction`, 0 to 1, of the values does not exceed; between two values it
// lies on the line through both. Reorders the values, of which there is at least one.
double percentile(std::vector<float>& values, double fraction);

// Called after each window with the number done and the number of all.
using EvalProgress = std::function<void(int64_t done, int64_t total)>;

// Returns one result per model. Consecutive windows, each from an empty context; targets are tokens
// 1..seqlen−1 of a window. All models must share one vocabulary size and have room for a window (kInvalid).
// Memory for a long text is one f32 a target and model, for the percentile.
std::vector<PerplexityResult> measure_perplexity(std::span<const PackedModel* const> models,
                                                 std::span<const int32_t> tokens,
                                                 const PerplexityOptions& options,
                                                 const EvalProgress& progress = {});

}  // namespace pare
