// Options of a request for the generation of its answers.
#pragma once

#include <cstdint>

#include "base/json.h"
#include "engine/generator.h"
#include "serve/served_model.h"

namespace pare {

enum class ApiKind { kCompletion, kChat };

inline constexpr int64_t kMaxStops = 64;        // texts in "stop", ids in "stop_token_ids"
inline constexpr int64_t kMaxStopBytes = 1024;  // bytes of each stop text
inline constexpr int64_t kMaxLogprobs = 20;     // alternatives of a token

// Reads all options that do not depend on the prompt; missing ones are the model's defaults. Throws kFormat,
// kInvalid and kUnsupported naming the field.
GenerateOptions read_options(const Json& body, ApiKind kind, const ServedModel& model);

}  // namespace pare
