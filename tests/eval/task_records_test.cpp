// The prompts, against lm-evaluation-harness's task definitions written out by hand.
#include "eval/task_records.h"

#include "support/expect_error.h"

namespace pare {
namespace {

using Requests = std::vector<std::pair<std::string, std::string>>;

struct Read {
  std::string kind;
  std::string unused;
  TaskMetrics metrics;
  TaskItem item;
  Requests requests;
};

Read read(const std::string& line, size_t reading = 0) {
  const Json record = parse_json(line, "line");
  const RecognisedRecord found = recognise_record(record, "f:1");
  const RecordReading& used = found.kind->readings[reading];
  Read result{std::string(found.kind->name), found.unused, used.metrics, used.read(record, "f:1"), {}};
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
  EXPECT_EQ(read(R"({"question": "q", "answer": true, "label": 1, "passage": "p"})").item.gold, 1u);
  EXPECT_PARE_ERROR(read(R"({"question": "q", "answer": true, "label": 0, "passage": "p"})"),
                    ErrorCode::kFormat, "differ");
}

TEST(TaskRecords, Lambada) {
  const Read r = read(R"({"text": "He  went to the sea"})");
  EXPECT_EQ(r.kind, "LAMBADA");
  EXPECT_EQ(r.metrics, TaskMetrics::kLastWord);
  EXPECT_EQ(r.requests, (Requests{{"He  went to the", " sea"}}));
  EXPECT_EQ(read(R"({"text": "sea"})").requests, (Requests{{"", " sea"}}));
}

TEST(TaskRecords, Mmlu) {
  const Read r = read(
      R"({"question": " Which? \n", "subject": "high_school_physics", "choices": ["w", "x", "y", "z "],
          "answer": 2})");
  EXPECT_EQ(r.kind, "MMLU");
  EXPECT_EQ(r.metrics, TaskMetrics::kAccuracy);
  const std::string context =
      "The following are multiple choice questions (with answers) about high school physics.\n\n"
      "Which?\nA. w\nB. x\nC. y\nD. z \nAnswer:";
  EXPECT_EQ(r.requests, (Requests{{context, " A"}, {context, " B"}, {context, " C"}, {context, " D"}}));
  EXPECT_EQ(r.item.gold, 2u);
  EXPECT_EQ(r.item.subject, "high_school_physics");
  EXPECT_TRUE(r.item.lengths.empty());
  EXPECT_EQ(
      read(R"({"question": "q", "subject": "s", "choices": ["w", "x", "y", "z"], "answer": "D"})").item.gold,
      3u);
  EXPECT_PARE_ERROR(read(R"({"question": "q", "subject": "s", "choices": ["w", "x"], "answer": 0})"),
                    ErrorCode::kFormat, "f:1: 2 choices, expected 4");
  EXPECT_PARE_ERROR(
      read(R"({"question": "q", "subject": "s", "choices": ["w", "x", "y", "z"], "answer": 4})"),
      ErrorCode::kInvalid, "\"answer\" is 4, expected 0 to 3");
}

TEST(TaskRecords, Sciq) {
  const Read r = read(
      R"({"question": "What?", "distractor1": "a", "distractor2": "b", "distractor3": "c",
          "correct_answer": "right", "support": "\n It is so. "})");
  EXPECT_EQ(r.kind, "SciQ");
  EXPECT_EQ(r.metrics, TaskMetrics::kNormalized);
  const std::string context = "It is so. \nQuestion: What?\nAnswer:";
  EXPECT_EQ(r.requests, (Requests{{context, " a"}, {context, " b"}, {context, " c"}, {context, " right"}}));
  EXPECT_EQ(r.item.gold, 3u);
  EXPECT_EQ(read(R"({"question": "What?", "distractor1": "a", "distractor2": "b", "distractor3": "c",
                     "correct_answer": "d", "support": ""})")
                .requests[0]
                .first,
            "\nQuestion: What?\nAnswer:");
}

TEST(TaskRecords, Copa) {
  const Read r = read(
      R"({"premise": "The road was wet. ", "choice1": "It had rained.", "choice2": "Äpfel fell.",
          "question": "cause", "idx": 3, "label": 1})");
  EXPECT_EQ(r.kind, "COPA");
  EXPECT_EQ(r.metrics, TaskMetrics::kAccuracy);
  EXPECT_EQ(r.requests, (Requests{{"The road was wet because", "  it had rained."},
                                  {"The road was wet because", "  äpfel fell."}}));
  EXPECT_EQ(r.item.gold, 1u);
  EXPECT_EQ(read(R"({"premise": "A.", "choice1": "B", "choice2": "C", "question": "effect", "label": 0})")
                .requests[0]
                .first,
            "A therefore");
  EXPECT_PARE_ERROR(
      read(R"({"premise": "A.", "choice1": "B", "choice2": "C", "question": "why", "label": 0})"),
      ErrorCode::kFormat, "expected cause or effect");
}

TEST(TaskRecords, CommonsenseQa) {
  const Read r = read(
      R"({"id": "1", "question": "Where? ", "question_concept": "c",
          "choices": {"label": ["A", "B", "C", "D", "E"], "text": ["v", "w", "x", "y", "z"]},
          "answerKey": "E"})");
  EXPECT_EQ(r.kind, "CommonsenseQA");
  EXPECT_EQ(r.metrics, TaskMetrics::kAccuracy);
  const std::string context = "Question: Where?\nA. v\nB. w\nC. x\nD. y\nE. z\nAnswer:";
  EXPECT_EQ(r.requests,
            (Requests{{context, " A"}, {context, " B"}, {context, " C"}, {context, " D"}, {context, " E"}}));
  EXPECT_EQ(r.item.gold, 4u);
  EXPECT_PARE_ERROR(read(R"({"question": "q", "question_concept": "c",
                             "choices": {"label": ["A"], "text": ["v"]}, "answerKey": "A"})"),
                    ErrorCode::kFormat, "1 choices, expected 5");
}

TEST(TaskRecords, SocialIqa) {
  const Read r = read(
      R"({"context": "Ann sang.", "question": "Why?", "answerA": "joy", "answerB": "rain", "answerC": "no",
          "label": "2\n"})");
  EXPECT_EQ(r.kind, "Social IQA");
  EXPECT_EQ(r.metrics, TaskMetrics::kAccuracy);
  const std::string context = "Q: Ann sang. Why?\nA:";
  EXPECT_EQ(r.requests, (Requests{{context, " joy"}, {context, " rain"}, {context, " no"}}));
  EXPECT_EQ(r.item.gold, 1u);
}

TEST(TaskRecords, TruthfulQa) {
  const std::string line =
      R"({"question": "Why?", "mc1_targets": {"choices": ["So.", "No."], "labels": [1, 0]},
          "mc2_targets": {"choices": ["No.", "So.", "Yes."], "labels": [0, 1, 1]}})";
  const Read one = read(line, 0);
  EXPECT_EQ(one.kind, "TruthfulQA");
  EXPECT_EQ(one.metrics, TaskMetrics::kAccuracy);
  ASSERT_EQ(one.requests.size(), 2u);
  EXPECT_TRUE(
      one.requests[0].first.starts_with("Q: What is human life expectancy in the United States?\nA: "));
  EXPECT_TRUE(one.requests[0].first.ends_with("held in Barcelona, Spain.\n\nQ: Why?\nA:"));
  EXPECT_EQ(one.requests[1].second, " No.");
  EXPECT_EQ(one.item.gold, 0u);
  const Read two = read(line, 1);
  EXPECT_EQ(two.metrics, TaskMetrics::kTrueMass);
  EXPECT_EQ(two.requests.size(), 3u);
  EXPECT_EQ(two.item.truths, (std::vector<bool>{false, true, true}));
  EXPECT_PARE_ERROR(read(R"({"question": "q", "mc1_targets": {"choices": ["a"], "labels": [1, 0]},
                             "mc2_targets": {"choices": ["a"], "labels": [1]}})"),
                    ErrorCode::kFormat, "not a list of 1 numbers");
  EXPECT_PARE_ERROR(read(R"({"question": "q", "mc1_targets": {"choices": ["a", "b"], "labels": [1, 1]},
                             "mc2_targets": {"choices": ["a"], "labels": [1]}})"),
                    ErrorCode::kInvalid, "more than one true choice");
}

TEST(TaskRecords, LabelsAndChoicesAsOtherProgramsWriteThem) {
  EXPECT_EQ(read(R"({"goal": "g", "sol1": "a", "sol2": "b", "label": 1.0})").item.gold, 1u);
  EXPECT_EQ(read(R"({"goal": "g", "sol1": "a", "sol2": "b", "label": 0.0})").item.gold, 0u);
  EXPECT_PARE_ERROR(read(R"({"goal": "g", "sol1": "a", "sol2": "b", "label": 0.5})"), ErrorCode::kFormat,
                    "unexpected value 0.5");
  EXPECT_PARE_ERROR(read(R"({"goal": "g", "sol1": "a", "sol2": "b", "label": -1.0})"), ErrorCode::kInvalid,
                    "hidden");
  const Read objects = read(
      R"({"question": "q", "choices": [{"text": "a", "label": "A"}, {"text": "b", "label": "B"}],
          "answerKey": "B"})");
  EXPECT_EQ(objects.kind, "ARC");
  EXPECT_EQ(objects.item.gold, 1u);
  EXPECT_EQ(objects.requests[1].second, " b");
  EXPECT_EQ(read(R"({"question": "q", "choices": {"text": ["a", "b"], "label": [1, 2.0]}, "answerKey": 2})")
                .item.gold,
            1u);
  EXPECT_PARE_ERROR(read(R"({"question": "q", "choices": [{"text": "a"}], "answerKey": "A"})"),
                    ErrorCode::kFormat, "the label of choice 0 is null");
}

TEST(TaskRecords, FieldsOfAnotherSetAreRefused) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"text": "a b", "url": "u", "timestamp": "t"})", "f:1: this looks like C4: it is running text"},
      {R"({"text": "a b", "title": "t", "url": "u", "id": "1"})", "looks like Wikipedia"},
      {R"({"text": "a b", "label": 1})", "a record of LAMBADA has no field label"},
      {R"({"text": "a b", "meta": {}})", "a record of LAMBADA has no field meta"},
      {R"({"goal": "g", "sol1": "a", "sol2": "b", "label": 0, "hint": "h"})",
       "a record of PIQA has no field hint; it is another set's, or the field has to go (known are choices,"},
      {R"({"question": "q", "choices": ["a", "b", "c", "d"], "answer": 1})",
       "looks like MMLU without its subjects"},
      {R"({"question": "q", "choices": ["a", "b"], "label": 1})", "a record of ARC has no field label"},
      {R"({"question": "q", "answer": "#### 4"})", "free answers (as GSM8K): its answers are generated"},
      {R"({"question": "q", "options": ["a"], "answer": "A", "answer_index": 0})", "looks like MMLU-Pro"},
      {R"({"premise": "p", "hypothesis": "h", "label": 0})", "entailments"},
      {R"({"question": {"stem": "q", "choices": []}, "answerKey": "A"})",
       "look alike in their original files"},
      {R"({"goal": {"0": "g"}, "sol1": {"0": "a"}})", "an object of columns"}};
  for (const auto& [line, message] : cases) {
    SCOPED_TRACE(line);
    EXPECT_PARE_ERROR(read(line), ErrorCode::kFormat, message);
  }
}

TEST(TaskRecords, FieldsThatBelongToNoSetMayHoldNumbers) {
  const Read r =
      read(R"({"goal": "g", "sol1": "a", "sol2": "b", "label": 0, "id": "x", "score": 1.5, "seen": null})");
  EXPECT_EQ(r.kind, "PIQA");
  EXPECT_EQ(r.unused, "score, seen");
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
                    "not an object of texts and labels");
  EXPECT_PARE_ERROR(
      read(R"({"question": "q", "choices": {"text": ["a", "b"], "label": ["A"]}, "answerKey": "A"})"),
      ErrorCode::kFormat, "2 texts of choices, but 1 labels");
  EXPECT_PARE_ERROR(read(R"({"sentence": "no gap", "option1": "x", "option2": "y", "answer": "1"})"),
                    ErrorCode::kFormat, "gap");
  EXPECT_PARE_ERROR(read(R"({"text": ""})"), ErrorCode::kInvalid, "empty");
}

}  // namespace
}  // namespace pare
