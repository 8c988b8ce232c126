// Fields of task records, and the items that are made of them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "eval/task_item.h"

namespace pare {

// Readers of fields. All throw kFormat naming `what` and the field when it is missing or of another kind.

// The texts of a list that is not empty.
std::vector<std::string> strings_of(const Json& record, const std::string& key, std::string_view what);

// Returns a label as text: files write whole numbers, with or without a fraction of 0 (0.0), or strings.
// Throws kInvalid when the answer is hidden: missing, null, empty, not a number (NaN), or -1.
std::string label_text(const Json& record, const std::string& key, std::string_view what);

// Reads a label that counts choices from `first`, as an index below `choices`. Throws kInvalid for any other.
size_t label_index(const Json& record, const std::string& key, size_t first, size_t choices,
                   std::string_view what);

// Choices with labels: {"text": […], "label": […]}, or a list of {"text", "label"}.
struct LabelledChoices {
  std::vector<std::string> texts;
  std::vector<std::string> labels;
};
LabelledChoices labelled_choices(const Json& record, const std::string& key, std::string_view what);
// The index of the choice whose label stands under `key`. Throws kInvalid when there is none.
size_t answer_of(const Json& record, const std::string& key, const LabelledChoices& choices,
                 std::string_view what);

// Makes an item of one context, followed by each choice. Throws kInvalid when a choice is empty.
TaskItem choices_item(const std::string& context, const std::vector<std::string>& choices, size_t gold,
                      std::string_view what);
// Makes an item without lengths: for tasks that are not judged per character.
TaskItem plain_item(const std::string& context, const std::vector<std::string>& choices, size_t gold,
                    std::string_view what);

}  // namespace pare
