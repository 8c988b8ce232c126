/// Quality of models, side by side.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pare/library.h"
#include "pare/model.h"

namespace pare::api {

struct EvaluateOptions {
  /// A file of UTF-8 text or of JSON records, for perplexity. Empty: none is measured.
  std::string ppl = {};
  std::int64_t seqlen = 2048;  ///< Tokens of a window, 2 or more.
  std::int64_t windows = 0;    ///< Windows that are used, from the first; 0: all.
  /// Files of JSON records, or folders of them, for zero-shot tasks (docs/evaluation.md).
  std::vector<std::string> tasks = {};
  std::int64_t limit = 0;  ///< Items of a task that are used, from the first; 0: all.
  Precision precision = Precision::kF32;
};

/// Zero-shot accuracy on a task, as lm-evaluation-harness measures it.
struct TaskScore {
  std::string name = {};  ///< File name without .jsonl and .gz.
  double accuracy = 0.0;  ///< Accuracy, 0 to 1; normalised by length for tasks that are judged so.
  std::optional<double> standard_error = {};
  /// Share of items that are answered otherwise than by the first model, 0 to 1; nothing for TruthfulQA's
  /// mc2.
  std::optional<double> flips = {};
};

struct Quality {
  std::string model = {};       ///< Path of the model, as given.
  std::int64_t parameters = 0;  ///< Number of stored values.
  std::int64_t bytes = 0;       ///< Bytes of the stored weights.
  /// exp of the mean negative log-likelihood of a token, in nats, over tokens 1 to seqlen − 1 of each window.
  std::optional<double> perplexity = {};
  std::optional<double> perplexity_error = {};  ///< Standard error; needs two windows.
  double kl = 0.0;     ///< Mean KL divergence of the predictions from the first model's, in nats.
  double kl_99 = 0.0;  ///< 99th percentile over tokens of that divergence, in nats.
  double top1 = 0.0;   ///< Share of tokens whose most probable prediction is the first model's, 0 to 1.
  std::vector<TaskScore> tasks = {};
};

/// Measures models on a text, on tasks, or on both; the first model is what the others are compared with.
///
/// Returns one result a model, in their order. Throws Error kUsage when nothing is to be measured or an
/// option is out of range, kInvalid when the models' tokenizers differ on the text, a window does not fit a
/// model's context or the text is shorter than one, kFormat for a broken file, and as Model::load() does.
std::vector<Quality> evaluate(const std::vector<std::string>& models, const EvaluateOptions& options,
                              const Progress& progress = {});

}  // namespace pare::api
