// Answers of the OpenAI API: whole, and piece by piece as server-sent events.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "engine/generator.h"
#include "engine/scored_token.h"
#include "serve/api_request.h"

namespace pare {

// The one table of HTTP statuses for errors.
int http_status(ErrorCode code);
// {"error": {"message", "type", "param", "code"}}; an ApiError has a code and a parameter.
Json error_json(int status, std::string_view message);
Json error_json(const Error& error);
// One model of the list, {"id", "object", …}; `created`: when the server started, in seconds of the epoch;
// `context`: of a sequence, at most the model's. Beyond the API: the context, real parameters, bytes of
// weights read for a token, and whether there is a chat template.
Json model_json(const ServedModel& model, int64_t created, int64_t context);
// {"object": "list", "data": […]}
Json models_json(const std::vector<ServedModel>& models, int64_t created, int64_t context);

// Writes JSON as UTF-8 whatever the texts hold: other bytes become U+FFFD.
std::string json_text(const Json& json);
// "data: …\n\n"
std::string sse_event(std::string_view data);

// Answer to one request, told as its parts become known.
class ApiReply {
 public:
  // `model`: that of the request, which must outlive the reply; `id`: of the answer, unique; `created`: in
  // seconds of the epoch.
  ApiReply(const ApiRequest& request, const ServedModel& model, const std::string& id, int64_t created);

  void add_text(size_t choice, std::string_view text) { choices_[choice].text += text; }
  // Scores of tokens; in a stream, the choice's next event has them.
  void add_scores(size_t choice, std::vector<ScoredToken> tokens);
  void end(size_t choice, const Generation& generation);
  size_t choices() const { return choices_.size(); }
  bool complete() const { return open_ == 0; }
  int64_t prompt_tokens() const { return prompt_tokens_; }
  int64_t completion_tokens() const { return completion_tokens_; }

  // The whole answer, when complete.
  Json whole();
  // Events of a stream: a choice's first (a chat's has the role, a completion's is empty), a piece of text,
  // its end, and the usage of the whole.
  std::string begin_event(size_t choice);
  std::string text_event(size_t choice, std::string_view text);
  std::string end_event(size_t choice);
  std::string usage_event() const;

 private:
  struct Choice {
    std::string text;
    FinishReason finish = FinishReason::kLength;
    std::vector<ScoredToken> scores;  // scores not yet told
    int64_t offset = 0;               // characters of the tokens told
  };

  Json head(bool chunk) const;
  std::string event(size_t choice, Json content, Json finish);
  // Returns the log-probabilities that were not told yet.
  Json logprobs(Choice& choice) const;
  Json usage() const;
  Json timings() const;

  bool is_chat_;
  bool scored_;  // scores of the tokens are wanted
  const Tokenizer& tokenizer_;
  Json head_;  // id, object of a whole answer, created, model
  int64_t prompt_tokens_ = 0;
  int64_t worked_on_ = 0;  // tokens of the prompts that were not in a cache
  int64_t completion_tokens_ = 0;
  int64_t decode_steps_ = 0;
  double prefill_seconds_ = 0.0;
  double decode_seconds_ = 0.0;
  std::vector<Choice> choices_;
  size_t open_;
};

}  // namespace pare
