// The prompts, against lm-evaluation-harness's task definitions written out by hand.
#include "eval/task_records.h"

#include "support/expect_error.h"

namespace pare {
namespace {

using Requests = std::vector<std::pair<std::string, std::string>>;

struct Read {
  std::string kind;
  TaskMetrics metrics;
  TaskItem item;
  Requests requests;
};

Read read(const std::string& line) {
  const Json record = parse_json(line, "line");
  const RecordKind& kind = record_kind(record, "f:1");
  Read result{std::string(kind.name), kind.metrics, kind.read(record, "f:1"), {}};
  for (const TaskRequest& request : result.item.requests)
    result.requests.emplace_back(request.context, request.continuation);
  return result;
}

TEST(TaskRecords, Choices) {
  const Read r = read(R"({"context": "Question: q\nAnswer:", "choices": ["one", "zwölf"], "gold": 1})");
  EXPECT_EQ(r.kind, "choices");
  EXPECT_EQ(r.metrics, TaskMetrics::kNormalized);
  EXPECT_EQ(r.requests, (Requests{{"Question: q\nAnswer:", " one"}, {"Question: q\nAnswer:", " zwölf"}}));
  EXPECT_EQ(r.item.gold, 1u);
  EXPECT_EQ(r.item.lengths, (std::vector<int64_t>{3, 5}));  // characters, without the space
}

TEST(TaskRecords, Contexts) {
  const Read r = read(R"({"contexts": ["so A", "so B"], "continuation": "won.", "gold": 0})");
  EXPECT_EQ(r.metrics, TaskMetrics::kAccuracy);
  EXPECT_EQ(r.requests, (Requests{{"so A", " won."}, {"so B", " won."}}));
  EXPECT_EQ(r.item.gold, 0u);
  EXPECT_TRUE(r.item.lengths.empty());
}

TEST(TaskRecords, Piqa) {
  const Read r = read(R"({"goal": "open a jar", "sol1": "twist", "sol2": "sing", "label": 0})");
  EXPECT_EQ(r.kind, "PIQA");
  EXPECT_EQ(r.metrics, TaskMetrics::kNormalized);
  EXPECT_EQ(r.requests, (Requests{{"Question: open a jar\nAnswer:", " twist"},
                                  {"Question: open a jar\nAnswer:", " sing"}}));
  EXPECT_EQ(r.item.gold, 0u);
}

TEST(TaskRecords, HellaSwag) {
  const Read r = read(
      R"({"ind": 24, "activity_label": "Roof work", "ctx_a": "A man sits.", "ctx_b": "he", "ctx": "unused",
          "endings": ["is  here.", " [substeps] goes [title] Away "], "source_id": "x", "split": "val",
          "label": "1"})");
  EXPECT_EQ(r.kind, "HellaSwag");
  EXPECT_EQ(r.metrics, TaskMetrics::kNormalized);
  const std::string context = "Roof work: A man sits. He";
  // The removed bracket leaves its space behind, two spaces become one.
  EXPECT_EQ(r.requests, (Requests{{context, " is here."}, {context, "  goes. Away"}}));
  EXPECT_EQ(r.item.gold, 1u);
  EXPECT_EQ(r.item.lengths, (std::vector<int64_t>{8, 11}));
}

TEST(TaskRecords, HellaSwagOfWikiHow) {
  const Read r = read(
      R"({"activity_label": "Food", "ctx_a": "[header] How to x [title] Do it. [step] Now.", "ctx_b": "",
          "endings": ["a", "b", "c", "d"], "label": 3})");
  EXPECT_EQ(r.requests[0].first, "Food: How to x. Do it. Now.");
  EXPECT_EQ(r.item.gold, 3u);
}

TEST(TaskRecords, Arc) {
  const Read letters = read(
      R"({"id": "x", "question": "Why?", "choices": {"text": ["a", "b", "c"], "label": ["A", "B", "C"]},
          "answerKey": "C"})");
  EXPECT_EQ(letters.kind, "ARC");
  EXPECT_EQ(letters.metrics, TaskMetrics::kNormalized);
  EXPECT_EQ(letters.requests, (Requests{{"Question: Why?\nAnswer:", " a"},
                                        {"Question: Why?\nAnswer:", " b"},
                                        {"Question: Why?\nAnswer:", " c"}}));
  EXPECT_EQ(letters.item.gold, 2u);
  const Read numbers =
      read(R"({"question": "Why?", "choices": {"text": ["a", "b"], "label": ["1", "2"]}, "answerKey": "2"})");
  EXPECT_EQ(numbers.item.gold, 1u);
}

TEST(TaskRecords, OpenBookQa) {
  const Read r = read(
      R"({"id": "7", "question_stem": "The sun is", "choices": {"text": ["hot", "cold"], "label": ["A", "B"]},
          "answerKey": "A"})");
  EXPECT_EQ(r.kind, "OpenBookQA");
  EXPECT_EQ(r.metrics, TaskMetrics::kNormalized);
  EXPECT_EQ(r.requests, (Requests{{"The sun is", " hot"}, {"The sun is", " cold"}}));
  EXPECT_EQ(r.item.gold, 0u);
}

TEST(TaskRecords, WinoGrande) {
  const Read r = read(
      R"({"sentence": "Sarah met Maria so _  won it. ", "option1": "Sarah", "option2": "Maria", "answer": "2"})");
  EXPECT_EQ(r.kind, "WinoGrande");
  EXPECT_EQ(r.metrics, TaskMetrics::kAccuracy);
  EXPECT_EQ(r.requests,
            (Requests{{"Sarah met Maria so Sarah", " won it."}, {"Sarah met Maria so Maria", " won it."}}));
  EXPECT_EQ(r.item.gold, 1u);
}

TEST(TaskRecords, BoolQ) {
  const Read r = read(R"({"question": "is it so", "passage": "It is.", "idx": 5, "label": 1})");
  EXPECT_EQ(r.kind, "BoolQ");
  EXPECT_EQ(r.metrics, TaskMetrics::kAccuracy);
  EXPECT_EQ(r.requests, (Requests{{"It is.\nQuestion: is it so?\nAnswer:", " no"},
                                  {"It is.\nQuestion: is it so?\nAnswer:", " yes"}}));
  EXPECT_EQ(r.item.gold, 1u);
  EXPECT_EQ(read(R"({"question": "q", "answer": true, "passage": "p"})").item.gold, 1u);
  EXPECT_EQ(read(R"({"question": "q", "answer": false, "passage": "p"})").item.gold, 0u);
}

TEST(TaskRecords, Lambada) {
  const Read r = read(R"({"text": "He  went to the sea"})");
  EXPECT_EQ(r.kind, "LAMBADA");
  EXPECT_EQ(r.metrics, TaskMetrics::kLastWord);
  EXPECT_EQ(r.requests, (Requests{{"He  went to the", " sea"}}));
  EXPECT_EQ(read(R"({"text": "sea"})").requests, (Requests{{"", " sea"}}));
}

TEST(TaskRecords, HiddenAnswers) {
  for (const char* line :
       {R"({"goal": "g", "sol1": "a", "sol2": "b", "label": -1})",
        R"({"goal": "g", "sol1": "a", "sol2": "b"})",
        R"({"goal": "g", "sol1": "a", "sol2": "b", "label": null})",
        R"({"activity_label": "l", "ctx_a": "a", "ctx_b": "b", "endings": ["x", "y"], "label": ""})",
        R"({"question": "q", "choices": {"text": ["a"], "label": ["A"]}, "answerKey": ""})",
        R"({"sentence": "a _ b", "option1": "x", "option2": "y", "answer": ""})",
        R"({"question": "q", "passage": "p", "label": -1})", R"({"context": "c", "choices": ["a", "b"]})"}) {
    SCOPED_TRACE(line);
    EXPECT_PARE_ERROR(read(line), ErrorCode::kInvalid, "f:1: the answer is hidden");
  }
}

TEST(TaskRecords, AnswersThatAreNoChoice) {
  EXPECT_PARE_ERROR(read(R"({"context": "c", "choices": ["a", "b"], "gold": 2})"), ErrorCode::kInvalid,
                    "f:1: \"gold\" is 2, expected 0 to 1");
  EXPECT_PARE_ERROR(read(R"({"context": "c", "choices": ["a"], "gold": -2})"), ErrorCode::kInvalid, "-2");
  EXPECT_PARE_ERROR(read(R"({"context": "c", "choices": ["a"], "gold": 99999999999999999999})"),
                    ErrorCode::kFormat, "gold");
  EXPECT_PARE_ERROR(read(R"({"context": "c", "choices": ["a"], "gold": "x"})"), ErrorCode::kInvalid, "is x");
  EXPECT_PARE_ERROR(read(R"({"context": "c", "choices": ["a"], "gold": [0]})"), ErrorCode::kFormat, "[0]");
  EXPECT_PARE_ERROR(read(R"({"sentence": "a _", "option1": "x", "option2": "y", "answer": "0"})"),
                    ErrorCode::kInvalid, "expected 1 to 2");
  EXPECT_PARE_ERROR(
      read(R"({"question": "q", "choices": {"text": ["a"], "label": ["A"]}, "answerKey": "B"})"),
      ErrorCode::kInvalid, "\"answerKey\" is B");
}

TEST(TaskRecords, FieldsOfTheWrongKind) {
  EXPECT_PARE_ERROR(read(R"([1])"), ErrorCode::kFormat, "f:1: expected a JSON object, got array");
  EXPECT_PARE_ERROR(read(R"({"prompt": "x", "answer": "y"})"), ErrorCode::kFormat, "prompt, answer");
  EXPECT_PARE_ERROR(read(R"({"context": "c", "choices": [], "gold": 0})"), ErrorCode::kFormat, "choices");
  EXPECT_PARE_ERROR(read(R"({"context": "c", "choices": "a", "gold": 0})"), ErrorCode::kFormat, "choices");
  EXPECT_PARE_ERROR(read(R"({"context": "c", "choices": ["a", 1], "gold": 0})"), ErrorCode::kFormat,
                    "entry 1 of \"choices\"");
  EXPECT_PARE_ERROR(read(R"({"context": "c", "choices": ["a", ""], "gold": 0})"), ErrorCode::kInvalid,
                    "choice 1 is empty");
  EXPECT_PARE_ERROR(read(R"({"context": 1, "choices": ["a"], "gold": 0})"), ErrorCode::kFormat, "context");
  EXPECT_PARE_ERROR(read(R"({"contexts": [], "continuation": "c", "gold": 0})"), ErrorCode::kFormat,
                    "contexts");
  EXPECT_PARE_ERROR(read(R"({"question": "q", "choices": ["a"], "answerKey": "A"})"), ErrorCode::kFormat,
                    "not an object");
  EXPECT_PARE_ERROR(
      read(R"({"question": "q", "choices": {"text": ["a", "b"], "label": ["A"]}, "answerKey": "A"})"),
      ErrorCode::kFormat, "2 texts of choices, but 1 labels");
  EXPECT_PARE_ERROR(read(R"({"sentence": "no gap", "option1": "x", "option2": "y", "answer": "1"})"),
                    ErrorCode::kFormat, "gap");
  EXPECT_PARE_ERROR(read(R"({"text": ""})"), ErrorCode::kInvalid, "empty");
}

}  // namespace
}  // namespace pare
