#include "eval/record_fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "eval/prompt_text.h"

namespace pare {
namespace {

std::string short_dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 80);
}

[[noreturn]] void fail_hidden(const std::string& key, std::string_view what) {
  fail(ErrorCode::kInvalid,
       "{}: the answer is hidden (\"{}\" is missing, empty or -1): take a split with labels", what, key);
}

// A text, or a whole number as one; nothing for any other value.
std::optional<std::string> text_or_number(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return value.dump();
  if (!value.is_number_float()) return std::nullopt;
  const auto number = value.get<double>();
  // Nullable integers become floats in pandas and datasets.
  if (std::abs(number) > 1e9 || number != std::trunc(number)) return std::nullopt;
  return fmt::format("{}", static_cast<int64_t>(number));
}

std::vector<std::string> labels_of(const Json& list, std::string_view what) {
  std::vector<std::string> labels;
  for (const Json& label : list) {
    const auto text = text_or_number(label);
    if (!text)
      fail(ErrorCode::kFormat, "{}: the label of choice {} is {}", what, labels.size(), short_dump(label));
    labels.push_back(*text);
  }
  return labels;
}

}  // namespace

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

std::string label_text(const Json& record, const std::string& key, std::string_view what) {
  const auto it = record.find(key);
  if (it == record.end() || it->is_null() || (it->is_number_float() && std::isnan(it->get<double>())))
    fail_hidden(key, what);
  const auto text = text_or_number(*it);
  if (!text)
    fail(ErrorCode::kFormat, "{}: key \"{}\" has an unexpected value {}", what, key, short_dump(*it));
  std::string label(strip(*text));
  if (label.empty() || label == "-1") fail_hidden(key, what);
  return label;
}

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

LabelledChoices labelled_choices(const Json& record, const std::string& key, std::string_view what) {
  const auto it = record.find(key);
  LabelledChoices choices;
  if (it != record.end() && it->is_object()) {
    choices.texts = strings_of(*it, "text", what);
    const auto labels = it->find("label");
    if (labels == it->end() || !labels->is_array())
      fail(ErrorCode::kFormat, "{}: key \"label\" of \"{}\" is not a list", what, key);
    choices.labels = labels_of(*labels, what);
  } else if (it != record.end() && it->is_array() && !it->empty() && it->front().is_object()) {
    Json labels = Json::array();
    for (const Json& choice : *it) {
      choices.texts.push_back(json_get<std::string>(choice, "text", what));
      labels.push_back(choice.value("label", Json()));
    }
    choices.labels = labels_of(labels, what);
  } else {
    fail(ErrorCode::kFormat,
         "{}: key \"{}\" is not an object of texts and labels, nor a list of objects with a text and a label",
         what, key);
  }
  if (choices.texts.size() != choices.labels.size())
    fail(ErrorCode::kFormat, "{}: {} texts of choices, but {} labels", what, choices.texts.size(),
         choices.labels.size());
  return choices;
}

size_t answer_of(const Json& record, const std::string& key, const LabelledChoices& choices,
                 std::string_view what) {
  const std::string answer = label_text(record, key, what);
  const auto found = std::find(choices.labels.begin(), choices.labels.end(), answer);
  if (found == choices.labels.end())
    fail(ErrorCode::kInvalid, "{}: \"{}\" is {}, which is not the label of a choice", what, key,
         answer.substr(0, 80));
  return static_cast<size_t>(found - choices.labels.begin());
}

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

TaskItem plain_item(const std::string& context, const std::vector<std::string>& choices, size_t gold,
                    std::string_view what) {
  TaskItem item = choices_item(context, choices, gold, what);
  item.lengths.clear();
  return item;
}

}  // namespace pare
