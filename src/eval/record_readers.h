// Records of each known set as items: the prompts of lm-evaluation-harness, without examples.
#pragma once

#include <string_view>

#include "base/json.h"
#include "eval/task_item.h"

namespace pare {

// Each throws kFormat naming `what` when a field is missing or has an unexpected value, and kInvalid when the
// answer is hidden or is none of the choices.
TaskItem read_choices(const Json& record, std::string_view what);
TaskItem read_contexts(const Json& record, std::string_view what);
TaskItem read_piqa(const Json& record, std::string_view what);
TaskItem read_hellaswag(const Json& record, std::string_view what);
TaskItem read_arc(const Json& record, std::string_view what);
TaskItem read_openbookqa(const Json& record, std::string_view what);
TaskItem read_winogrande(const Json& record, std::string_view what);
TaskItem read_boolq(const Json& record, std::string_view what);
TaskItem read_lambada(const Json& record, std::string_view what);
TaskItem read_mmlu(const Json& record, std::string_view what);
TaskItem read_sciq(const Json& record, std::string_view what);
TaskItem read_copa(const Json& record, std::string_view what);
TaskItem read_commonsenseqa(const Json& record, std::string_view what);
TaskItem read_social_iqa(const Json& record, std::string_view what);
TaskItem read_truthfulqa_mc1(const Json& record, std::string_view what);
TaskItem read_truthfulqa_mc2(const Json& record, std::string_view what);

}  // namespace pare
