// Requests of the OpenAI API, as far as pare serves it: read, checked, and turned into what an engine runs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "engine/generator.h"
#include "serve/served_model.h"

namespace pare {

enum class ApiKind { kCompletion, kChat };

// One sequence to generate; its place in the list is the choice's index.
struct ApiChoice {
  std::vector<int32_t> prompt;  // as starting_ids() returns it
  GenerateOptions options;      // valid
};

struct ApiRequest {
  ApiKind kind = ApiKind::kCompletion;
  size_t model = 0;  // index among the served ones
  std::vector<ApiChoice> choices;
  bool stream = false;
  bool include_usage = false;  // in a last event of the stream
  bool continues = false;      // a chat: the answer goes on the last message
};

inline constexpr int64_t kMaxChoices = 16;      // of a request: prompts times "n"
inline constexpr int64_t kMaxStops = 16;        // texts in "stop"
inline constexpr int64_t kMaxStopBytes = 1024;  // of each

// Reads a request's body. `context`: of a sequence, at most the model's. Without "seed" every request draws
// its own; choice i has seed + i. Fields that would change the answer and that pare does not have
// (log-probabilities, tools, penalties other than repetition_penalty, ...) are refused unless they say
// nothing; names that the API does not know are ignored. Throws kFormat, kInvalid and kUnsupported naming the
// field, and kNotFound for a model that is not served.
ApiRequest read_api_request(ApiKind kind, std::string_view body, const std::vector<ServedModel>& models,
                            int64_t context);

}  // namespace pare
