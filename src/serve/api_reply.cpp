#include "serve/api_reply.h"

#include <iterator>
#include <utility>

#include "serve/api_error.h"
#include "serve/api_logprobs.h"

namespace pare {
namespace {

Json finish_json(FinishReason reason) {
  switch (reason) {
    case FinishReason::kEos:
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      break;  // there is no client left to read it
  }
  return nullptr;
}

std::string_view error_type(int status) {
  if (status == 401) return "authentication_error";
  if (status == 404) return "not_found_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

}  // namespace

int http_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUsage:
    case ErrorCode::kFormat:
    case ErrorCode::kUnsupported:
    case ErrorCode::kInvalid:
      return 400;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kIo:
    case ErrorCode::kNumeric:
    case ErrorCode::kInternal:
      return 500;
  }
  return 500;
}

Json error_json(int status, std::string_view message) {
  return {
      {"error", {{"message", message}, {"type", error_type(status)}, {"param", nullptr}, {"code", nullptr}}}};
}

Json error_json(const Error& error) {
  Json json = error_json(http_status(error.code()), error.what());
  if (const auto* named = dynamic_cast<const ApiError*>(&error)) {
    json["error"]["param"] = named->parameter();
    json["error"]["code"] = named->api_code();
  }
  return json;
}

Json model_json(const ServedModel& model, int64_t created, int64_t context) {
  return {{"id", model.id},
          {"object", "model"},
          {"created", created},
          {"owned_by", "pare"},
          {"max_model_len", usable_context(context, model.packed->config)},
          {"parameters", model.parameters},
          {"bytes_per_token", model.packed->bytes_per_token()},
          {"chat", model.chat.has_value()}};
}

Json models_json(const std::vector<ServedModel>& models, int64_t created, int64_t context) {
  Json data = Json::array();
  for (const ServedModel& model : models) data.push_back(model_json(model, created, context));
  return {{"object", "list"}, {"data", data}};
}

std::string json_text(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string sse_event(std::string_view data) { return fmt::format("data: {}\n\n", data); }

ApiReply::ApiReply(const ApiRequest& request, const ServedModel& model, const std::string& id,
                   int64_t created)
    : is_chat_(request.kind == ApiKind::kChat),
      scored_(request.choices.front().options.logprobs.has_value()),
      tokenizer_(*model.tokenizer),
      head_({{"id", (is_chat_ ? "chatcmpl-" : "cmpl-") + id},
             {"object", is_chat_ ? "chat.completion" : "text_completion"},
             {"created", created},
             {"model", model.id}}),
      choices_(request.choices.size()),
      open_(request.choices.size()) {
  for (const ApiChoice& choice : request.choices)
    prompt_tokens_ += static_cast<int64_t>(choice.prompt.size());
}

void ApiReply::add_scores(size_t choice, std::vector<ScoredToken> tokens) {
  std::vector<ScoredToken>& scores = choices_[choice].scores;
  scores.insert(scores.end(), std::make_move_iterator(tokens.begin()), std::make_move_iterator(tokens.end()));
}

Json ApiReply::logprobs(Choice& choice) const {
  if (!scored_) return nullptr;
  const std::vector<ScoredToken> tokens = std::exchange(choice.scores, {});
  return is_chat_ ? chat_logprobs(tokenizer_, tokens)
                  : completion_logprobs(tokenizer_, tokens, choice.offset);
}

void ApiReply::end(size_t choice, const Generation& generation) {
  PARE_CHECK(open_ > 0);
  --open_;
  choices_[choice].finish = generation.finish;
  worked_on_ += generation.prompt_tokens;
  completion_tokens_ += static_cast<int64_t>(generation.tokens.size());
  decode_steps_ += generation.decode_steps;
  prefill_seconds_ += generation.prefill_seconds;
  decode_seconds_ += generation.decode_seconds;
}

Json ApiReply::head(bool chunk) const {
  Json json = head_;
  if (chunk && is_chat_) json["object"] = "chat.completion.chunk";
  json["choices"] = Json::array();
  return json;
}

Json ApiReply::usage() const {
  return {{"prompt_tokens", prompt_tokens_},
          {"completion_tokens", completion_tokens_},
          {"total_tokens", prompt_tokens_ + completion_tokens_},
          {"prompt_tokens_details", {{"cached_tokens", prompt_tokens_ - worked_on_}}}};
}

// Figures beyond the API: tokens a second of a sequence, on average over the choices.
Json ApiReply::timings() const {
  return {{"prefill_tokens_per_second", token_rate(worked_on_, prefill_seconds_)},
          {"decode_tokens_per_second", token_rate(decode_steps_, decode_seconds_)}};
}

Json ApiReply::whole() {
  PARE_CHECK(complete());
  Json json = head(false);
  for (size_t i = 0; i < choices_.size(); ++i) {
    Json choice = {{"index", i}};
    if (is_chat_)
      choice["message"] = {{"role", "assistant"}, {"content", choices_[i].text}};
    else
      choice["text"] = choices_[i].text;
    choice["logprobs"] = logprobs(choices_[i]);
    choice["finish_reason"] = finish_json(choices_[i].finish);
    json["choices"].push_back(std::move(choice));
  }
  json["usage"] = usage();
  json["timings"] = timings();
  return json;
}

std::string ApiReply::event(size_t choice, Json content, Json finish) {
  Json json = head(true);
  const std::vector<ScoredToken>& scores = choices_[choice].scores;
  json["choices"].push_back({{"index", choice},
                             {is_chat_ ? "delta" : "text", std::move(content)},
                             {"logprobs", scores.empty() ? Json() : logprobs(choices_[choice])},
                             {"finish_reason", std::move(finish)}});
  return sse_event(json_text(json));
}

std::string ApiReply::begin_event(size_t choice) {
  return event(choice, is_chat_ ? Json{{"role", "assistant"}, {"content", ""}} : Json(""), nullptr);
}

std::string ApiReply::text_event(size_t choice, std::string_view text) {
  return event(choice, is_chat_ ? Json{{"content", text}} : Json(text), nullptr);
}

std::string ApiReply::end_event(size_t choice) {
  return event(choice, is_chat_ ? Json::object() : Json(""), finish_json(choices_[choice].finish));
}

std::string ApiReply::usage_event() const {
  Json json = head(true);
  json["usage"] = usage();
  json["timings"] = timings();
  return sse_event(json_text(json));
}

}  // namespace pare
