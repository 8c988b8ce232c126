#include "eval/task_records.h"

#include <algorithm>
#include <charconv>

#include "eval/prompt_text.h"

namespace pare {
namespace {

// The texts of a list that is not empty.
std::vector<std::string> strings_of(const Json& record, const std::string& key, std::string_view what) {
  const auto it = record.find(key);
  if (it == record.end() || !it->is_array() || it->empty())
    fail(ErrorCode::kFormat, "{}: key \"{}\" is not a list of texts, or is empty", what, key);
  std::vector<std::string> texts;
  for (const Json& text : *it) {
    if (!text.is_string())
      fail(ErrorCode::kFormat, "{}: entry {} of \"{}\" is not a text", what, texts.size(), key);
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

[[noreturn]] void fail_hidden(const std::string& key, std::string_view what) {
  fail(ErrorCode::kInvalid,
       "{}: the answer is hidden (\"{}\" is missing, empty or -1): take a split with labels", what, key);
}

// A label as text: files write numbers, or the same as strings.
std::string label_text(const Json& record, const std::string& key, std::string_view what) {
  const auto it = record.find(key);
  if (it == record.end() || it->is_null()) fail_hidden(key, what);
  if (!it->is_string() && !it->is_number_integer())
    fail(ErrorCode::kFormat, "{}: key \"{}\" has an unexpected value {}", what, key,
         it->dump().substr(0, 80));
  const std::string text = it->is_string() ? it->get<std::string>() : it->dump();
  std::string label(strip(text));
  if (label.empty() || label == "-1") fail_hidden(key, what);
  return label;
}

// A label that counts choices from `first`, as an index.
size_t label_index(const Json& record, const std::string& key, size_t first, size_t choices,
                   std::string_view what) {
  const std::string text = label_text(record, key, what);
  size_t value = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end || value < first || value - first >= choices)
    fail(ErrorCode::kInvalid, "{}: \"{}\" is {}, expected {} to {}", what, key, text.substr(0, 80), first,
         first + choices - 1);
  return value - first;
}

// One context, a choice after each.
TaskItem choices_item(const std::string& context, const std::vector<std::string>& choices, size_t gold,
                      std::string_view what) {
  TaskItem item;
  item.gold = gold;
  for (const std::string& choice : choices) {
    if (choice.empty()) fail(ErrorCode::kInvalid, "{}: choice {} is empty", what, item.requests.size());
    item.requests.push_back({context, fmt::format(" {}", choice)});
    item.lengths.push_back(character_count(choice));
  }
  return item;
}

TaskItem read_choices(const Json& r, std::string_view what) {
  const auto choices = strings_of(r, "choices", what);
  return choices_item(json_get<std::string>(r, "context", what), choices,
                      label_index(r, "gold", 0, choices.size(), what), what);
}

TaskItem read_contexts(const Json& r, std::string_view what) {
  const auto contexts = strings_of(r, "contexts", what);
  const std::string continuation = fmt::format(" {}", json_get<std::string>(r, "continuation", what));
  TaskItem item;
  for (const std::string& context : contexts) item.requests.push_back({context, continuation});
  item.gold = label_index(r, "gold", 0, contexts.size(), what);
  return item;
}

TaskItem read_piqa(const Json& r, std::string_view what) {
  return choices_item(fmt::format("Question: {}\nAnswer:", json_get<std::string>(r, "goal", what)),
                      {json_get<std::string>(r, "sol1", what), json_get<std::string>(r, "sol2", what)},
                      label_index(r, "label", 0, 2, what), what);
}

// Artifacts of WikiHow go, as lm-evaluation-harness has it.
std::string hellaswag_text(std::string_view text) {
  return replace_all(remove_brackets(replace_all(strip(text), " [title]", ". ")), "  ", " ");
}

TaskItem read_hellaswag(const Json& r, std::string_view what) {
  const std::string context = fmt::format("{}: {} {}", json_get<std::string>(r, "activity_label", what),
                                          json_get<std::string>(r, "ctx_a", what),
                                          capitalize(json_get<std::string>(r, "ctx_b", what)));
  std::vector<std::string> endings = strings_of(r, "endings", what);
  for (std::string& ending : endings) ending = hellaswag_text(ending);
  return choices_item(hellaswag_text(context), endings, label_index(r, "label", 0, endings.size(), what),
                      what);
}

// {"choices": {"text": […], "label": […]}, "answerKey"}: the answer is one of the labels.
TaskItem read_labelled(const Json& r, const std::string& context, std::string_view what) {
  const Json& choices = r.at("choices");
  if (!choices.is_object()) fail(ErrorCode::kFormat, "{}: key \"choices\" is not an object", what);
  const auto texts = strings_of(choices, "text", what);
  const auto labels = strings_of(choices, "label", what);
  if (texts.size() != labels.size())
    fail(ErrorCode::kFormat, "{}: {} texts of choices, but {} labels", what, texts.size(), labels.size());
  const std::string answer = label_text(r, "answerKey", what);
  const auto found = std::find(labels.begin(), labels.end(), answer);
  if (found == labels.end())
    fail(ErrorCode::kInvalid, "{}: \"answerKey\" is {}, which is not the label of a choice", what,
         answer.substr(0, 80));
  return choices_item(context, texts, static_cast<size_t>(found - labels.begin()), what);
}

TaskItem read_arc(const Json& r, std::string_view what) {
  return read_labelled(r, fmt::format("Question: {}\nAnswer:", json_get<std::string>(r, "question", what)),
                       what);
}

TaskItem read_openbookqa(const Json& r, std::string_view what) {
  return read_labelled(r, json_get<std::string>(r, "question_stem", what), what);
}

TaskItem read_winogrande(const Json& r, std::string_view what) {
  const auto sentence = json_get<std::string>(r, "sentence", what);
  const size_t gap = sentence.find('_');
  if (gap == std::string::npos) fail(ErrorCode::kFormat, "{}: \"sentence\" has no gap (_)", what);
  const std::string continuation = fmt::format(" {}", strip(std::string_view(sentence).substr(gap + 1)));
  TaskItem item;
  for (const char* option : {"option1", "option2"})
    item.requests.push_back({sentence.substr(0, gap) + json_get<std::string>(r, option, what), continuation});
  item.gold = label_index(r, "answer", 1, 2, what);
  return item;
}

// SuperGLUE labels answers; the original data set has them as true and false.
TaskItem read_boolq(const Json& r, std::string_view what) {
  const auto answer = json_find<bool>(r, "answer", what);
  const size_t gold = answer ? static_cast<size_t>(*answer) : label_index(r, "label", 0, 2, what);
  const std::string context =
      fmt::format("{}\nQuestion: {}?\nAnswer:", json_get<std::string>(r, "passage", what),
                  json_get<std::string>(r, "question", what));
  TaskItem item = choices_item(context, {"no", "yes"}, gold, what);
  item.lengths.clear();
  return item;
}

TaskItem read_lambada(const Json& r, std::string_view what) {
  const auto text = json_get<std::string>(r, "text", what);
  if (text.empty()) fail(ErrorCode::kInvalid, "{}: \"text\" is empty", what);
  const size_t space = text.rfind(' ');
  if (space == std::string::npos) return {{{"", fmt::format(" {}", text)}}, 0, {}};
  return {{{text.substr(0, space), text.substr(space)}}, 0, {}};
}

constexpr std::string_view kChoicesFields[] = {"context", "choices"};
constexpr std::string_view kContextsFields[] = {"contexts", "continuation"};
constexpr std::string_view kPiqaFields[] = {"goal", "sol1", "sol2"};
constexpr std::string_view kHellaswagFields[] = {"activity_label", "ctx_a", "ctx_b", "endings"};
constexpr std::string_view kWinograndeFields[] = {"sentence", "option1", "option2"};
constexpr std::string_view kBoolqFields[] = {"question", "passage"};
constexpr std::string_view kOpenbookqaFields[] = {"question_stem", "choices"};
constexpr std::string_view kArcFields[] = {"question", "choices"};
constexpr std::string_view kLambadaFields[] = {"text"};

constexpr RecordKind kKinds[] = {
    {"choices", TaskMetrics::kNormalized, kChoicesFields, read_choices},
    {"contexts", TaskMetrics::kAccuracy, kContextsFields, read_contexts},
    {"PIQA", TaskMetrics::kNormalized, kPiqaFields, read_piqa},
    {"HellaSwag", TaskMetrics::kNormalized, kHellaswagFields, read_hellaswag},
    {"WinoGrande", TaskMetrics::kAccuracy, kWinograndeFields, read_winogrande},
    {"BoolQ", TaskMetrics::kAccuracy, kBoolqFields, read_boolq},
    {"OpenBookQA", TaskMetrics::kNormalized, kOpenbookqaFields, read_openbookqa},
    {"ARC", TaskMetrics::kNormalized, kArcFields, read_arc},
    {"LAMBADA", TaskMetrics::kLastWord, kLambadaFields, read_lambada},
};

}  // namespace

const RecordKind& record_kind(const Json& record, std::string_view what) {
  if (!record.is_object())
    fail(ErrorCode::kFormat, "{}: expected a JSON object, got {}", what, record.type_name());
  for (const RecordKind& kind : kKinds)
    if (std::all_of(kind.fields.begin(), kind.fields.end(),
                    [&](std::string_view field) { return record.contains(field); }))
      return kind;
  std::string fields;
  for (const auto& member : record.items())
    fields += fmt::format("{}{}", fields.empty() ? "" : ", ", member.key());
  fail(ErrorCode::kFormat, "{}: no known kind of task has a record with the fields: {}", what,
       fields.substr(0, 200));
}

}  // namespace pare
