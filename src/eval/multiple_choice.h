// Zero-shot accuracy of a model on a task, as lm-evaluation-harness measures it.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "eval/loglikelihood.h"
#include "eval/task_file.h"
#include "text/tokenizer/tokenizer.h"

namespace pare {

struct Estimate {
  double value = 0.0;
  std::optional<double> standard_error = {};  // nothing: unknown
};

// The mean, and its standard error from the sample's deviation (n − 1), which one value does not have.
Estimate mean_of(std::span<const double> values);

struct TaskResult {
  TaskMetrics metrics = TaskMetrics::kNormalized;
  std::vector<std::vector<Loglikelihood>> items;  // by item and choice
  // kLastWord: of greedy decoding; kTrueMass: the mean share of the choices' probability that true ones have
  Estimate accuracy;
  std::optional<Estimate> normalized_accuracy;  // kNormalized
  std::optional<Estimate> perplexity;           // kLastWord; its error to first order
  std::map<std::string, Estimate> subjects;     // accuracy of each subject, where items have one
  int64_t tokens = 0;                           // tokens that went through the model
  double seconds = 0.0;                         // time of tokenizing and scoring

  // Main figure of the task: the normalized accuracy where there is one.
  const Estimate& main() const { return normalized_accuracy ? *normalized_accuracy : accuracy; }
};

// Mean over tasks of their main figures; errors are independent, and unknown when that of a task is.
Estimate mean_of(std::span<const TaskResult> results);

// Returns the choice of the largest log-likelihood, per character where `lengths` (of the choices) are given;
// the first of equal ones.
size_t best_choice(std::span<const Loglikelihood> scores, std::span<const int64_t> lengths = {});

// Returns the share of a task's items that two models answer differently, be the answers right or wrong: by
// another choice where choices are judged, else by finding the last word and not. Nothing for kTrueMass,
// which has no answers.
std::optional<double> flips(const Task& task, const TaskResult& first, const TaskResult& other);

// Returns the share of the choices' probability that the true ones have.
double true_mass(std::span<const Loglikelihood> scores, const std::vector<bool>& truths);

// Measures a task. Throws kInvalid naming the item when it does not fit the model (tokenize_request), and as
// forward_batch does.
TaskResult measure_task(const PackedModel& model, const Tokenizer& tokenizer, const Task& task,
                        const ScoreProgress& progress = {});

}  // namespace pare
