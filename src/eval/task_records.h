// Records of task files: recognised by their fields, and made into the prompts of lm-evaluation-harness.
#pragma once

#include <span>
#include <string_view>

#include "base/json.h"
#include "eval/task_item.h"

namespace pare {

struct RecordKind {
  std::string_view name;
  TaskMetrics metrics;
  std::span<const std::string_view> fields;  // what tells it apart
  // Throws kFormat naming `what` when a field has an unexpected value, and kInvalid when the answer is hidden
  // or is none of the choices.
  TaskItem (*read)(const Json& record, std::string_view what);
};

// The first kind all of whose fields the record has. Throws kFormat naming `what` when there is none.
const RecordKind& record_kind(const Json& record, std::string_view what);

}  // namespace pare
