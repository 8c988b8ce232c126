#include "serve/api_request.h"

#include <algorithm>

#include "serve/api_error.h"
#include "serve/api_fields.h"
#include "serve/api_messages.h"
#include "serve/api_options.h"
#include "serve/api_unsupported.h"

namespace pare {
namespace {

bool is_ids(const Json& value) {
  return value.is_array() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const Json& id) { return id.is_number(); });
}

// A prompt, and its text where it was given as one.
struct Prompt {
  std::vector<int32_t> ids;
  std::optional<std::string> text;
};

Prompt read_prompt(const Json& value, const Tokenizer& tokenizer, int64_t context) {
  // The completions API takes a prompt as it is: special tokens in it are meant.
  if (value.is_string()) {
    const std::string& text = value.get_ref<const std::string&>();
    require_text_fits(text.size(), context, "prompt");
    return {tokenizer.encode(text, {true, true}), text};
  }
  if (!is_ids(value))
    fail(ErrorCode::kFormat, "\"prompt\" is neither a text, a list of token ids nor a list of such prompts");
  Prompt prompt;
  for (const Json& id : value) {
    const std::optional<int64_t> whole = whole_number(id);
    if (!whole || *whole < 0 || *whole >= Tokenizer::kMaxVocab)
      fail(ErrorCode::kInvalid, "\"prompt\" holds {}, which is no token id", id.dump());
    prompt.ids.push_back(static_cast<int32_t>(*whole));
  }
  return prompt;
}

// Returns the text that an answer begins with.
std::string echo_of(const Prompt& prompt, const Tokenizer& tokenizer) {
  if (prompt.text) return *prompt.text;
  std::string text;
  for (const int32_t id : prompt.ids)
    if (id < tokenizer.vocab_size()) text += tokenizer.token_bytes(id);
  return text;
}

std::vector<Prompt> read_prompts(const Json& body, const Tokenizer& tokenizer, int64_t context) {
  const Json& prompt = field(body, "prompt");
  if (prompt.is_null()) fail(ErrorCode::kFormat, "\"prompt\" is missing");
  std::vector<Prompt> prompts;
  if (!prompt.is_array() || is_ids(prompt)) {
    prompts.push_back(read_prompt(prompt, tokenizer, context));
    return prompts;
  }
  if (prompt.empty() || static_cast<int64_t>(prompt.size()) > kMaxChoices)
    fail(ErrorCode::kInvalid, "\"prompt\" is a list of {} prompts, expected 1 to {}", prompt.size(),
         kMaxChoices);
  for (const Json& one : prompt) prompts.push_back(read_prompt(one, tokenizer, context));
  return prompts;
}

// Returns the ids to start from, if they leave room for an answer.
std::vector<int32_t> checked_ids(const std::vector<int32_t>& prompt, const ModelConfig& config,
                                 int64_t context, int64_t max_tokens, const char* name) {
  const auto tokens = static_cast<int64_t>(prompt.size());
  const int64_t room = max_tokens == 0 ? context : context - 1;
  // Clients recognise this error by its first words.
  if (tokens > room)
    throw ApiError(ErrorCode::kInvalid,
                   fmt::format("This model's maximum context length is {} tokens. However, your {} resulted "
                               "in {} tokens{}. Please reduce the length of the {}.",
                               context, name, tokens,
                               tokens > context ? "" : ", and an answer takes at least one more", name),
                   "context_length_exceeded", name);
  return starting_ids(prompt, config, room + 1);
}

}  // namespace

void require_text_fits(size_t bytes, int64_t context, const char* name) {
  // Nearly all tokens have at most so many bytes.
  constexpr size_t kMaxTokenBytes = 256;
  if (bytes / kMaxTokenBytes <= static_cast<size_t>(context)) return;
  throw ApiError(ErrorCode::kInvalid,
                 fmt::format("This model's maximum context length is {} tokens. However, your {} resulted "
                             "in a text of {} bytes. Please reduce the length of the {}.",
                             context, name, bytes, name),
                 "context_length_exceeded", name);
}

size_t find_model(std::string_view id, const std::vector<ServedModel>& models) {
  if (id.empty()) return 0;
  for (size_t i = 0; i < models.size(); ++i)
    if (models[i].id == id) return i;
  throw ApiError(
      ErrorCode::kNotFound,
      fmt::format("The model `{}` does not exist: GET /v1/models lists those that are served here", id),
      "model_not_found", "model");
}

Json read_api_body(std::string_view body) {
  Json json = parse_json(body, kRequest);
  if (!json.is_object()) fail(ErrorCode::kFormat, "{}: it is not a JSON object", kRequest);
  // Every field is searched for one by one.
  if (json.size() > kMaxFields)
    fail(ErrorCode::kInvalid, "{}: it has {} fields, expected at most {}", kRequest, json.size(), kMaxFields);
  return json;
}

size_t read_model(const Json& body, const std::vector<ServedModel>& models) {
  return find_model(json_find<std::string>(body, "model", kRequest).value_or(""), models);
}

ApiRequest read_api_request(ApiKind kind, std::string_view body, const std::vector<ServedModel>& models,
                            int64_t context) {
  const Json json = read_api_body(body);
  refuse_unsupported(json);
  refuse_tools(json);
  ApiRequest request;
  request.kind = kind;
  request.model = read_model(json, models);
  const ServedModel& model = models[request.model];
  const ModelConfig& config = model.packed->config;
  const int64_t usable = usable_context(context, config);
  GenerateOptions options = read_options(json, kind, model);

  const bool is_chat = kind == ApiKind::kChat;
  const bool echo = boolean(json, "echo");
  std::vector<Prompt> prompts;
  if (is_chat) {
    if (echo) fail(ErrorCode::kUnsupported, "\"echo\" is not supported in chats");
    if (!model.chat) fail(ErrorCode::kUnsupported, "{}", model.why_no_chat);
    const ChatInput input = read_chat_input(json);
    const std::vector<JinjaSpan> spans = model.chat->chat.render(input);
    require_written(spans);
    require_text_fits(text_of(spans).size(), usable, "messages");
    prompts.push_back({encode_chat(*model.tokenizer, spans), {}});
    if (!options.ignore_eos) add_chat_ends(*model.chat, options);
    request.continues = input.ending == ChatEnding::kContinued;
  } else {
    if (integer(json, "top_logprobs", 0, 0, kMaxCount) != 0)
      fail(ErrorCode::kUnsupported,
           "\"top_logprobs\" is not supported in completions: \"logprobs\" is a number");
    prompts = read_prompts(json, *model.tokenizer, usable);
    options.score_prompt = echo && options.logprobs;
  }
  const int64_t n = integer(json, "n", 1, 1, kMaxN);
  const int64_t best_of = integer(json, "best_of", 1, 1, kMaxCount);
  if (best_of != 1 && best_of != n)
    fail(ErrorCode::kUnsupported, "\"best_of\" is not supported, but for 1 and \"n\"");
  if (static_cast<int64_t>(prompts.size()) * n > kMaxChoices)
    fail(ErrorCode::kInvalid, "{} prompts with \"n\" of {} make more than {} choices", prompts.size(), n,
         kMaxChoices);
  int64_t tokens = 0;
  for (const Prompt& prompt : prompts) {
    const std::vector<int32_t> ids =
        checked_ids(prompt.ids, config, usable, options.max_tokens, is_chat ? "messages" : "prompt");
    tokens += n * static_cast<int64_t>(ids.size());
    if (tokens > kMaxPromptTokens)
      fail(ErrorCode::kInvalid, "the prompts, \"n\" times, have more than {} tokens", kMaxPromptTokens);
    const std::string text = echo ? echo_of(prompt, *model.tokenizer) : "";
    for (int64_t i = 0; i < n; ++i) {
      request.choices.push_back({ids, options, text});
      ++options.sampling.seed;
    }
  }

  request.stream = boolean(json, "stream");
  const Json& stream_options = field(json, "stream_options");
  if (!stream_options.is_null()) {
    if (!stream_options.is_object()) fail(ErrorCode::kFormat, "\"stream_options\" is not an object");
    request.include_usage = boolean(stream_options, "include_usage");
  }
  return request;
}

}  // namespace pare
