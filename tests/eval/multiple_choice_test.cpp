#include "eval/multiple_choice.h"

#include <cmath>

#include "runtime/forward.h"
#include "support/byte_tokenizer.h"
#include "support/expect_error.h"
#include "support/tiny_model.h"

namespace pare {
namespace {

PackedModel tiny(int64_t max_positions = 128) {
  return {test::make_tiny_model({.vocab = 256, .max_positions = max_positions}), ComputeType::kF32};
}

// ln p of the bytes of `continuation` behind those of `context`, by the definition.
double log_probability(const PackedModel& model, const std::string& context,
                       const std::string& continuation) {
  const std::string text = context + continuation;
  std::vector<int32_t> ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  KvCache cache(model, static_cast<int64_t>(ids.size()));
  const Matrix<float> logits = logits_of(model, forward(model, ids, cache));
  double total = 0.0;
  for (size_t p = context.size(); p < text.size(); ++p) {
    const auto row = static_cast<int64_t>(p) - 1;
    double sum = 0.0;
    for (int64_t c = 0; c < logits.cols(); ++c) sum += std::exp(static_cast<double>(logits(row, c)));
    total += static_cast<double>(logits(row, ids[p])) - std::log(sum);
  }
  return total;
}

TEST(MultipleChoice, MeansAndTheirErrors) {
  const double values[] = {1.0, 0.0, 0.0, 1.0, 1.0};
  const Estimate estimate = mean_of(values);
  EXPECT_DOUBLE_EQ(estimate.value, 0.6);
  // Sample variance (2 · 0.36 + 3 · 0.16) / 4 = 0.3.
  EXPECT_DOUBLE_EQ(estimate.standard_error.value(), std::sqrt(0.3 / 5.0));
  const double one[] = {1.0};
  EXPECT_EQ(mean_of(one).standard_error, std::nullopt);
}

TEST(MultipleChoice, TheMeanOverTasksIsOfWhatEachIsJudgedBy) {
  std::vector<TaskResult> results(2);
  results[0].accuracy = {0.1, 0.9};
  results[0].normalized_accuracy = {0.5, 0.03};
  results[1].accuracy = {0.7, 0.04};
  const Estimate mean = mean_of(results);
  EXPECT_DOUBLE_EQ(mean.value, 0.6);
  EXPECT_DOUBLE_EQ(mean.standard_error.value(), 0.025);
  results[0].normalized_accuracy = {0.5};  // the error of one task is unknown, so that of the mean is
  EXPECT_EQ(mean_of(results).standard_error, std::nullopt);
}

TEST(MultipleChoice, BestChoices) {
  const std::vector<Loglikelihood> scores = {{-4.0, true}, {-3.0, true}, {-3.0, true}, {-6.0, true}};
  EXPECT_EQ(best_choice(scores), 1u);  // the first of equal ones
  const std::vector<int64_t> lengths = {2, 1, 1, 6};
  EXPECT_EQ(best_choice(scores, lengths), 3u);
}

TEST(MultipleChoice, AccuraciesMatchABruteForce) {
  const PackedModel model = tiny();
  std::string lines;  // the right choice is "a", where it is one: short, so both accuracies differ
  const char* choices[] = {"a", "the longest of them", "two words", "né"};
  for (int i = 0; i < 24; ++i)
    lines += fmt::format(R"({{"context": "{}Q{}?", "choices": ["{}", "{}", "{}"], "gold": {}}})", i * 37, i,
                         choices[i % 4], choices[(i + 1) % 4], choices[(i + 2) % 4], (4 - i % 4) % 4 % 3) +
             "\n";
  const Task task = parse_tasks(lines, "f").front();
  double right = 0.0;
  double right_normalized = 0.0;
  for (const TaskItem& item : task.items) {
    std::vector<Loglikelihood> scores;
    for (const TaskRequest& request : item.requests)
      scores.push_back({log_probability(model, request.context, request.continuation), false});
    right += best_choice(scores) == item.gold;
    right_normalized += best_choice(scores, item.lengths) == item.gold;
  }
  const TaskResult result = measure_task(model, test::byte_tokenizer(), task);
  EXPECT_DOUBLE_EQ(result.accuracy.value, right / 24.0);
  ASSERT_TRUE(result.normalized_accuracy);
  EXPECT_DOUBLE_EQ(result.normalized_accuracy->value, right_normalized / 24.0);
  EXPECT_NE(right, right_normalized);  // else the case could not tell them apart
  EXPECT_EQ(&result.main(), &*result.normalized_accuracy);
  EXPECT_FALSE(result.perplexity);
}

TEST(MultipleChoice, ContextsAreJudgedByTheSameContinuation) {
  const PackedModel model = tiny();
  const Task task =
      parse_tasks(R"({"contexts": ["ann ", "bert is"], "continuation": "so", "gold": 1})", "f").front();
  const TaskResult result = measure_task(model, test::byte_tokenizer(), task);
  // The space at the end of a context is scored.
  EXPECT_NEAR(result.items[0][0].sum, log_probability(model, "ann", "  so"), 1e-4);
  EXPECT_NEAR(result.items[0][1].sum, log_probability(model, "bert is", " so"), 1e-4);
  EXPECT_FALSE(result.normalized_accuracy);
  EXPECT_EQ(result.accuracy.value, best_choice(result.items[0]) == 1 ? 1.0 : 0.0);
}

TEST(MultipleChoice, LastWordsHaveAPerplexity) {
  const PackedModel model = tiny();
  const Task task = parse_tasks("{\"text\": \"he saw the sea\"}\n{\"text\": \"one two\"}", "f").front();
  const TaskResult result = measure_task(model, test::byte_tokenizer(), task);
  const double first = log_probability(model, "he saw the", " sea");
  const double second = log_probability(model, "one", " two");
  ASSERT_TRUE(result.perplexity);
  const double perplexity = std::exp(-(first + second) / 2.0);
  EXPECT_NEAR(result.perplexity->value / perplexity, 1.0, 1e-4);
  // Half the distance of two values is the error of their mean.
  EXPECT_NEAR(result.perplexity->standard_error.value() / perplexity, std::abs(first - second) / 2.0, 1e-4);
  EXPECT_EQ(&result.main(), &result.accuracy);
}

// Results of two items with the log-likelihoods of two choices each.
TaskResult scored(double a, double b, double c, double d) {
  TaskResult result;
  result.items = {{{a, a > b}, {b, true}}, {{c, c > d}, {d, true}}};
  return result;
}

TEST(MultipleChoice, FlipsAreAnswersThatChange) {
  Task task;
  task.metrics = TaskMetrics::kAccuracy;
  task.items.resize(2);
  for (TaskItem& item : task.items) item.lengths = {1, 4};
  const TaskResult first = scored(-1.0, -2.0, -1.0, -2.0);
  EXPECT_EQ(flips(task, first, first), 0.0);
  EXPECT_EQ(flips(task, first, scored(-3.0, -2.0, -1.5, -2.0)), 0.5);
  // By character, the second choice of both items is the better one for both models.
  task.metrics = TaskMetrics::kNormalized;
  EXPECT_EQ(flips(task, first, scored(-3.0, -2.0, -1.5, -2.0)), 0.0);
  EXPECT_EQ(flips(task, first, scored(-0.1, -2.0, -0.1, -2.0)), 1.0);
  task.metrics = TaskMetrics::kLastWord;
  EXPECT_EQ(flips(task, first, scored(-3.0, -2.0, -1.5, -2.0)), 0.5);
  task.metrics = TaskMetrics::kTrueMass;
  EXPECT_EQ(flips(task, first, first), std::nullopt);
}

TEST(MultipleChoice, TheMassOfTrueChoices) {
  const std::vector<Loglikelihood> scores = {
      {std::log(0.1), true}, {std::log(0.3), true}, {std::log(0.4), true}};
  EXPECT_NEAR(true_mass(scores, {true, false, true}), 0.5 / 0.8, 1e-12);
  EXPECT_DOUBLE_EQ(true_mass(scores, {true, true, true}), 1.0);
  // Probabilities that a double cannot hold still have a ratio.
  const std::vector<Loglikelihood> tiny_ones = {{-2000.0, true}, {-2000.0, true}};
  EXPECT_DOUBLE_EQ(true_mass(tiny_ones, {true, false}), 0.5);
  const PackedModel model = tiny(512 + 256);
  const std::vector<Task> tasks =
      parse_tasks(R"({"question": "q", "mc1_targets": {"choices": ["a", "b"], "labels": [1, 0]},)"
                  R"( "mc2_targets": {"choices": ["a", "bc", "d"], "labels": [1, 0, 1]}})",
                  "f");
  const TaskResult result = measure_task(model, test::byte_tokenizer(), tasks[1]);
  EXPECT_DOUBLE_EQ(result.accuracy.value, true_mass(result.items[0], {true, false, true}));
  EXPECT_FALSE(result.normalized_accuracy);
}

TEST(MultipleChoice, SubjectsHaveTheirOwnAccuracy) {
  const PackedModel model = tiny(256);
  std::string lines;
  for (const char* subject : {"one", "two", "one"})
    lines +=
        fmt::format(R"({{"question": "q", "subject": "{}", "choices": ["a", "b", "c", "d"], "answer": 1}})",
                    subject) +
        "\n";
  const TaskResult result = measure_task(model, test::byte_tokenizer(), parse_tasks(lines, "f").front());
  ASSERT_EQ(result.subjects.size(), 2u);
  EXPECT_DOUBLE_EQ((2.0 * result.subjects.at("one").value + result.subjects.at("two").value) / 3.0,
                   result.accuracy.value);
}

TEST(MultipleChoice, ErrorsNameTheItem) {
  const PackedModel model = tiny(4);
  Task task = parse_tasks("{\"text\": \"a b\"}\n{\"text\": \"a longer\"}", "f").front();
  task.path = "f.jsonl";
  EXPECT_PARE_ERROR(measure_task(model, test::byte_tokenizer(), task), ErrorCode::kInvalid,
                    "f.jsonl: item 2");
}

}  // namespace
}  // namespace pare
