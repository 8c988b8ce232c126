// How a request wants its answers to be generated.
#pragma once

#include <cstdint>

#include "base/json.h"
#include "engine/generator.h"
#include "serve/served_model.h"

namespace pare {

enum class ApiKind { kCompletion, kChat };

inline constexpr int64_t kMaxStops = 64;        // texts in "stop", ids in "stop_token_ids"
inline constexpr int64_t kMaxStopBytes = 1024;  // of each text
inline constexpr int64_t kMaxLogprobs = 20;     // alternatives of a token

// All but what depends on the prompt; what is not said is as the model's defaults have it. Throws kFormat,
// kInvalid and kUnsupported naming the field.
GenerateOptions read_options(const Json& body, ApiKind kind, const ServedModel& model);

}  // namespace pare
