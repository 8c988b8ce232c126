#include "eval/task_records.h"

#include <algorithm>

#include "eval/record_readers.h"

namespace pare {
namespace {

using Names = std::span<const std::string_view>;

// Fields of a kind: what every record has, and what it may have as well.
constexpr std::string_view kChoices[] = {"context", "choices"};
constexpr std::string_view kContexts[] = {"contexts", "continuation"};
constexpr std::string_view kGold[] = {"gold"};
constexpr std::string_view kPiqa[] = {"goal", "sol1", "sol2"};
constexpr std::string_view kLabel[] = {"label"};
constexpr std::string_view kHellaswag[] = {"activity_label", "ctx_a", "ctx_b", "endings"};
constexpr std::string_view kHellaswagMore[] = {"label", "ctx", "source_id", "split", "split_type"};
constexpr std::string_view kWinogrande[] = {"sentence", "option1", "option2"};
constexpr std::string_view kWinograndeMore[] = {"answer", "qID"};
constexpr std::string_view kBoolq[] = {"question", "passage"};
constexpr std::string_view kBoolqMore[] = {"answer", "label", "title", "version"};
constexpr std::string_view kOpenbookqa[] = {"question_stem", "choices"};
constexpr std::string_view kOpenbookqaMore[] = {"answerKey", "fact1", "humanScore", "clarity",
                                                "turkIdAnonymized"};
constexpr std::string_view kArc[] = {"question", "choices"};
constexpr std::string_view kAnswerKey[] = {"answerKey"};
constexpr std::string_view kLambada[] = {"text"};
constexpr std::string_view kLambadaMore[] = {"domain"};
constexpr std::string_view kMmlu[] = {"question", "subject", "choices"};
constexpr std::string_view kAnswer[] = {"answer"};
constexpr std::string_view kSciq[] = {"question",    "distractor1",    "distractor2",
                                      "distractor3", "correct_answer", "support"};
constexpr std::string_view kCopa[] = {"premise", "choice1", "choice2", "question"};
constexpr std::string_view kCommonsenseqa[] = {"question", "question_concept", "choices"};
constexpr std::string_view kSocialIqa[] = {"context", "question", "answerA", "answerB", "answerC"};
constexpr std::string_view kTruthfulqa[] = {"question", "mc1_targets", "mc2_targets"};
// Numbers of records; any set may have them.
constexpr std::string_view kNumbers[] = {"id", "idx", "ind", "index", "__index_level_0__"};

constexpr RecordReading kReadChoices[] = {{"", TaskMetrics::kNormalized, read_choices}};
constexpr RecordReading kReadContexts[] = {{"", TaskMetrics::kAccuracy, read_contexts}};
constexpr RecordReading kReadPiqa[] = {{"", TaskMetrics::kNormalized, read_piqa}};
constexpr RecordReading kReadHellaswag[] = {{"", TaskMetrics::kNormalized, read_hellaswag}};
constexpr RecordReading kReadWinogrande[] = {{"", TaskMetrics::kAccuracy, read_winogrande}};
constexpr RecordReading kReadBoolq[] = {{"", TaskMetrics::kAccuracy, read_boolq}};
constexpr RecordReading kReadOpenbookqa[] = {{"", TaskMetrics::kNormalized, read_openbookqa}};
constexpr RecordReading kReadArc[] = {{"", TaskMetrics::kNormalized, read_arc}};
constexpr RecordReading kReadLambada[] = {{"", TaskMetrics::kLastWord, read_lambada}};
constexpr RecordReading kReadMmlu[] = {{"", TaskMetrics::kAccuracy, read_mmlu}};
constexpr RecordReading kReadSciq[] = {{"", TaskMetrics::kNormalized, read_sciq}};
constexpr RecordReading kReadCopa[] = {{"", TaskMetrics::kAccuracy, read_copa}};
constexpr RecordReading kReadCommonsenseqa[] = {{"", TaskMetrics::kAccuracy, read_commonsenseqa}};
constexpr RecordReading kReadSocialIqa[] = {{"", TaskMetrics::kAccuracy, read_social_iqa}};
constexpr RecordReading kReadTruthfulqa[] = {{"mc1", TaskMetrics::kAccuracy, read_truthfulqa_mc1},
                                             {"mc2", TaskMetrics::kTrueMass, read_truthfulqa_mc2}};

constexpr RecordKind kKinds[] = {
    {"choices", kChoices, kGold, kReadChoices},
    {"contexts", kContexts, kGold, kReadContexts},
    {"PIQA", kPiqa, kLabel, kReadPiqa},
    {"HellaSwag", kHellaswag, kHellaswagMore, kReadHellaswag},
    {"WinoGrande", kWinogrande, kWinograndeMore, kReadWinogrande},
    {"BoolQ", kBoolq, kBoolqMore, kReadBoolq},
    {"OpenBookQA", kOpenbookqa, kOpenbookqaMore, kReadOpenbookqa},
    {"MMLU", kMmlu, kAnswer, kReadMmlu},
    {"CommonsenseQA", kCommonsenseqa, kAnswerKey, kReadCommonsenseqa},
    {"ARC", kArc, kAnswerKey, kReadArc},
    {"SciQ", kSciq, {}, kReadSciq},
    {"COPA", kCopa, kLabel, kReadCopa},
    {"Social IQA", kSocialIqa, kLabel, kReadSocialIqa},
    {"TruthfulQA", kTruthfulqa, {}, kReadTruthfulqa},
    {"LAMBADA", kLambada, kLambadaMore, kReadLambada},
};

// Sets that people bring and that are not scored: recognised by name, with advice.
struct OtherSet {
  std::string_view name;
  std::string_view fields[4];  // a record of the set has all of these (empty ones do not count)
  std::string_view reason;
  bool no_others = false;  // records of the set have no other fields
};
constexpr std::string_view kGenerated = "its answers are generated, and only log-likelihoods are scored here";
constexpr std::string_view kText = "it is running text, which `ppl` and `calib` read";
constexpr std::string_view kOtherPrompt =
    "its prompt is not known here; write its items as {\"context\", \"choices\", \"gold\"}";
constexpr OtherSet kOtherSets[] = {
    {"C4", {"text", "timestamp", "url"}, kText},
    {"Wikipedia", {"text", "title", "url"}, kText},
    {"MMLU without its subjects",
     {"question", "choices", "answer"},
     "the prompt names them: keep \"subject\""},
    {"MMLU-Pro", {"question", "options", "answer_index"}, kOtherPrompt},
    {"RACE", {"article", "question", "options"}, kOtherPrompt},
    {"LogiQA", {"context", "question", "options"}, kOtherPrompt},
    {"MedMCQA", {"question", "opa", "opb"}, kOtherPrompt},
    {"SWAG", {"startphrase", "ending0", "ending1"}, kOtherPrompt},
    {"a set of entailments (RTE, MNLI, CB)", {"premise", "hypothesis"}, kOtherPrompt},
    {"WiC", {"word", "sentence1", "sentence2"}, kOtherPrompt},
    {"TruthfulQA for generation",
     {"question", "best_answer", "incorrect_answers"},
     "take the configuration multiple_choice"},
    {"HumanEval", {"prompt", "canonical_solution"}, kGenerated},
    {"MBPP", {"code", "test_list"}, kGenerated},
    {"MATH", {"problem", "solution"}, kGenerated},
    {"IFEval", {"prompt", "instruction_id_list"}, kGenerated},
    {"TriviaQA", {"question", "answer", "entity_pages"}, kGenerated},
    {"DROP", {"passage", "question", "answers_spans"}, kGenerated},
    {"SQuAD", {"context", "question", "answers"}, kGenerated},
    {"a set of tasks with free answers (as BIG-Bench Hard)", {"input", "target"}, kGenerated, true},
    {"a set of questions with free answers (as GSM8K)", {"question", "answer"}, kGenerated, true},
};

bool holds(Names names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool has_all(const Json& record, Names fields) {
  return std::all_of(fields.begin(), fields.end(),
                     [&](std::string_view field) { return field.empty() || record.contains(field); });
}

bool has_only(const Json& record, Names fields) {
  for (const auto& member : record.items())
    if (!holds(fields, member.key()) && !holds(kNumbers, member.key())) return false;
  return true;
}

bool is_known_field(std::string_view name) {
  return std::any_of(
             std::begin(kKinds), std::end(kKinds),
             [&](const RecordKind& kind) { return holds(kind.fields, name) || holds(kind.more, name); }) ||
         std::any_of(std::begin(kOtherSets), std::end(kOtherSets),
                     [&](const OtherSet& set) { return holds(set.fields, name); });
}

void add_name(std::string& names, std::string_view name) {
  if (!names.empty()) names += ", ";
  names += name.substr(0, 40);
}

// Fields that a kind does not know of a record. A number can be no part of a prompt, unless another set's.
struct Surplus {
  std::string refused;
  std::string unused;
};

Surplus surplus_of(const Json& record, const RecordKind& kind) {
  Surplus surplus;
  for (const auto& member : record.items()) {
    const std::string& name = member.key();
    if (holds(kind.fields, name) || holds(kind.more, name) || holds(kNumbers, name)) continue;
    const Json& value = member.value();
    const bool text = value.is_string() || value.is_structured();
    add_name(text || is_known_field(name) ? surplus.refused : surplus.unused, name);
  }
  return surplus;
}

void refuse_other_sets(const Json& record, std::string_view what) {
  for (const OtherSet& set : kOtherSets)
    if (has_all(record, set.fields) && (!set.no_others || has_only(record, set.fields)))
      fail(ErrorCode::kFormat, "{}: this looks like {}: {}", what, set.name, set.reason);
}

// Refuses known records in forms that other programs write.
void refuse_other_forms(const Json& record, std::string_view what) {
  const auto question = record.find("question");
  if (question != record.end() && question->is_object() && question->contains("stem"))
    fail(ErrorCode::kFormat,
         "{}: ARC, OpenBookQA and CommonsenseQA look alike in their original files (\"question\" with a "
         "\"stem\"): "
         "take them as datasets writes them with to_json",
         what);
  if (!record.empty() && std::all_of(record.begin(), record.end(), [](const Json& column) {
        return column.is_object() && column.contains("0");
      }))
    fail(ErrorCode::kFormat,
         "{}: an object of columns; with pandas write records: to_json(OUT, orient=\"records\", lines=True)",
         what);
}

std::string kind_names() {
  std::string names;
  for (const RecordKind& kind : kKinds) add_name(names, kind.name);
  return names;
}

}  // namespace

RecognisedRecord recognise_record(const Json& record, std::string_view what) {
  if (!record.is_object())
    fail(ErrorCode::kFormat, "{}: expected a JSON object, got {}", what, record.type_name());
  refuse_other_forms(record, what);
  const RecordKind* nearest = nullptr;
  Surplus surplus;
  for (const RecordKind& kind : kKinds) {
    if (!has_all(record, kind.fields)) continue;
    Surplus own = surplus_of(record, kind);
    if (own.refused.empty()) return {&kind, own.unused};
    if (nearest != nullptr) continue;
    nearest = &kind;
    surplus = std::move(own);
  }
  refuse_other_sets(record, what);
  if (nearest != nullptr)
    fail(ErrorCode::kFormat,
         "{}: a record of {} has no field {}; it is another set's, or the field has to go (known are {})",
         what, nearest->name, surplus.refused, kind_names());
  std::string fields;
  for (const auto& member : record.items()) add_name(fields, member.key());
  fail(ErrorCode::kFormat, "{}: no known kind of task has a record with the fields: {} (known are {})", what,
       fields.substr(0, 200), kind_names());
}

}  // namespace pare
