// Records of task files: recognised by their fields, and made into the prompts of lm-evaluation-harness.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "eval/task_item.h"

namespace pare {

// One task that the records of a set are read for.
struct RecordReading {
  std::string_view part;  // name of the task, where a set is read for several; else empty
  TaskMetrics metrics;
  // Throws kFormat naming `what` when a field has an unexpected value, and kInvalid when the answer is hidden
  // or is none of the choices.
  TaskItem (*read)(const Json& record, std::string_view what);
};

struct RecordKind {
  std::string_view name;
  std::span<const std::string_view> fields;  // fields that every record has
  std::span<const std::string_view> more;    // fields that a record may have as well
  std::span<const RecordReading> readings;
};

struct RecognisedRecord {
  const RecordKind* kind = nullptr;
  std::string unused;  // names of fields that no kind knows, which hold numbers, true, false or null
};

// Finds the kind all of whose fields the record has, and which knows all of its fields that hold texts,
// lists or objects, or that are another set's. Throws kFormat naming `what`: a known set that is not scored
// (generation, running text, another prompt), the fields that are too many, or all kinds.
RecognisedRecord recognise_record(const Json& record, std::string_view what);

}  // namespace pare
