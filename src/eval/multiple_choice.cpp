#include "eval/multiple_choice.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "base/parallel.h"
#include "base/seconds.h"

namespace pare {
namespace {

std::vector<SequenceGroup> tokenize(const PackedModel& model, const Tokenizer& tokenizer, const Task& task) {
  std::vector<SequenceGroup> groups(task.items.size());
  parallel_for(static_cast<int64_t>(groups.size()), [&](int64_t i) {
    const std::string what = fmt::format("{}: item {}", task.path, i + 1);
    for (const TaskRequest& request : task.items[static_cast<size_t>(i)].requests)
      groups[static_cast<size_t>(i)].push_back(tokenize_request(request, tokenizer, model.config, what));
  });
  return groups;
}

// Collects one value an item.
template <typename Value>
Estimate mean_over(const Task& task, Value&& value) {
  std::vector<double> values;
  for (size_t i = 0; i < task.items.size(); ++i) values.push_back(static_cast<double>(value(i)));
  return mean_of(values);
}

void add_last_word(const Task& task, TaskResult& result) {
  result.accuracy = mean_over(task, [&](size_t i) { return result.items[i].front().greedy; });
  const Estimate nll = mean_over(task, [&](size_t i) { return -result.items[i].front().sum; });
  result.perplexity = {std::exp(nll.value)};
  if (nll.standard_error) result.perplexity->standard_error = std::exp(nll.value) * *nll.standard_error;
}

void add_subjects(const Task& task, TaskResult& result) {
  std::map<std::string, std::vector<double>> values;
  for (size_t i = 0; i < task.items.size(); ++i)
    if (const TaskItem& item = task.items[i]; !item.subject.empty())
      values[item.subject].push_back(best_choice(result.items[i]) == item.gold ? 1.0 : 0.0);
  for (const auto& [subject, own] : values) result.subjects[subject] = mean_of(own);
}

void add_accuracies(const Task& task, TaskResult& result) {
  result.accuracy =
      mean_over(task, [&](size_t i) { return best_choice(result.items[i]) == task.items[i].gold; });
  add_subjects(task, result);
  if (task.metrics != TaskMetrics::kNormalized) return;
  result.normalized_accuracy = mean_over(task, [&](size_t i) {
    return best_choice(result.items[i], task.items[i].lengths) == task.items[i].gold;
  });
}

}  // namespace

Estimate mean_of(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  if (values.size() < 2) return {mean};
  double squares = 0.0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, std::sqrt(squares / (n - 1) / n)};
}

Estimate mean_of(std::span<const TaskResult> results) {
  double sum = 0.0;
  std::optional<double> variance = 0.0;
  for (const TaskResult& result : results) {
    const Estimate& own = result.main();
    sum += own.value;
    if (variance && own.standard_error)
      *variance += *own.standard_error * *own.standard_error;
    else
      variance.reset();
  }
  const auto n = static_cast<double>(results.size());
  if (!variance) return {sum / n};
  return {sum / n, std::sqrt(*variance) / n};
}

size_t best_choice(std::span<const Loglikelihood> scores, std::span<const int64_t> lengths) {
  const auto score = [&](size_t c) {
    return lengths.empty() ? scores[c].sum : scores[c].sum / static_cast<double>(lengths[c]);
  };
  size_t best = 0;
  for (size_t c = 1; c < scores.size(); ++c)
    if (score(c) > score(best)) best = c;
  return best;
}

std::optional<double> flips(const Task& task, const TaskResult& first, const TaskResult& other) {
  if (task.metrics == TaskMetrics::kTrueMass) return std::nullopt;
  const auto answer = [&](const TaskResult& result, size_t i) -> size_t {
    const std::vector<Loglikelihood>& scores = result.items[i];
    if (task.metrics == TaskMetrics::kLastWord) return scores.front().greedy ? 1 : 0;
    if (task.metrics == TaskMetrics::kNormalized) return best_choice(scores, task.items[i].lengths);
    return best_choice(scores);
  };
  return mean_over(task, [&](size_t i) { return answer(first, i) != answer(other, i); }).value;
}

double true_mass(std::span<const Loglikelihood> scores, const std::vector<bool>& truths) {
  double largest = scores.front().sum;
  for (const Loglikelihood& score : scores) largest = std::max(largest, score.sum);
  double all = 0.0;
  double mass = 0.0;
  for (size_t c = 0; c < scores.size(); ++c) {
    const double probability = std::exp(scores[c].sum - largest);
    all += probability;
    if (truths[c]) mass += probability;
  }
  return mass / all;
}

TaskResult measure_task(const PackedModel& model, const Tokenizer& tokenizer, const Task& task,
                        const ScoreProgress& progress) {
  const auto start = std::chrono::steady_clock::now();
  GroupScores scores = score_groups(model, tokenize(model, tokenizer, task), progress);
  TaskResult result;
  result.metrics = task.metrics;
  result.items = std::move(scores.groups);
  result.tokens = scores.tokens;
  if (task.metrics == TaskMetrics::kLastWord)
    add_last_word(task, result);
  else if (task.metrics == TaskMetrics::kTrueMass)
    result.accuracy =
        mean_over(task, [&](size_t i) { return true_mass(result.items[i], task.items[i].truths); });
  else
    add_accuracies(task, result);
  result.seconds = seconds_since(start);
  return result;
}

}  // namespace pare
