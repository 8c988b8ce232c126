// Requests of the OpenAI API, as far as pare serves it: read, checked, and turned into what a model thread
// runs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "engine/generator.h"
#include "serve/api_options.h"
#include "serve/served_model.h"

namespace pare {

// One sequence to generate; its place in the list is the choice's index.
struct ApiChoice {
  std::vector<int32_t> prompt;  // as starting_ids() returns it
  GenerateOptions options;      // valid
  std::string echo;             // text that the answer begins with
};

struct ApiRequest {
  ApiKind kind = ApiKind::kCompletion;
  size_t model = 0;  // index among the served ones
  std::vector<ApiChoice> choices;
  bool stream = false;
  bool include_usage = false;  // sent in a last event of the stream
  bool continues = false;      // a chat: the answer goes on the last message
};

inline constexpr int64_t kMaxChoices = 2048;          // choices of a request: prompts times "n"
inline constexpr int64_t kMaxN = 128;                 // largest "n"
inline constexpr int64_t kMaxPromptTokens = 1 << 24;  // tokens of all choices together
inline constexpr size_t kMaxFields = 1024;            // fields of a body

// The index of a model; the first one for an empty id. Throws ApiError (kNotFound, "model_not_found").
size_t find_model(std::string_view id, const std::vector<ServedModel>& models);

// A text of far more bytes than the context's tokens can hold is refused before it is encoded: encoding
// megabytes takes seconds. Throws ApiError (kInvalid,
// "context_length_exceeded") that calls the text `name`.
void require_text_fits(size_t bytes, int64_t context, const char* name);

// A body's JSON object. Throws kFormat, and kInvalid when it has too many fields.
Json read_api_body(std::string_view body);
// The index of the model that a body names.
size_t read_model(const Json& body, const std::vector<ServedModel>& models);

// Reads a request's body. `context`: of a sequence, at most the model's. What is not said is as the model's
// defaults have it. Without "seed" every request draws its own; choice i has seed + i. Fields that would
// change the answer and that pare does not have are refused (refuse_unsupported), other names that the API
// does not know are ignored. Throws kFormat, kInvalid and kUnsupported naming the field, and ApiError for a
// model that is not served (kNotFound) and for a prompt that does not fit the context (kInvalid).
ApiRequest read_api_request(ApiKind kind, std::string_view body, const std::vector<ServedModel>& models,
                            int64_t context);

}  // namespace pare
