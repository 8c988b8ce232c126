#include "serve/api_options.h"

#include <string>

#include "serve/api_fields.h"
#include "serve/api_sampling.h"

namespace pare {
namespace {

constexpr int64_t kDefaultCompletionTokens = 16;  // the API's own

// Reads "stop"; empty texts stop nothing.
std::vector<std::string> read_stops(const Json& body) {
  const Json& stop = field(body, "stop");
  std::vector<std::string> stops;
  if (stop.is_null()) return stops;
  const auto add = [&](const Json& text) {
    if (!text.is_string()) fail(ErrorCode::kFormat, "\"stop\" is neither a text nor a list of texts");
    const auto& stop_text = text.get_ref<const std::string&>();
    if (stop_text.empty()) return;
    stops.push_back(stop_text);
    if (static_cast<int64_t>(stops.back().size()) > kMaxStopBytes)
      fail(ErrorCode::kInvalid, "a text of \"stop\" has {} bytes, expected at most {}", stops.back().size(),
           kMaxStopBytes);
  };
  if (!stop.is_array()) {
    add(stop);
    return stops;
  }
  if (static_cast<int64_t>(stop.size()) > kMaxStops)
    fail(ErrorCode::kInvalid, "\"stop\" has {} texts, expected at most {}", stop.size(), kMaxStops);
  for (const Json& text : stop) add(text);
  return stops;
}

std::vector<int32_t> read_stop_ids(const Json& body, int64_t vocab) {
  const Json& list = field(body, "stop_token_ids");
  std::vector<int32_t> ids;
  if (list.is_null()) return ids;
  if (!list.is_array()) fail(ErrorCode::kFormat, "\"stop_token_ids\" is not a list of token ids");
  if (static_cast<int64_t>(list.size()) > kMaxStops)
    fail(ErrorCode::kInvalid, "\"stop_token_ids\" has {} ids, expected at most {}", list.size(), kMaxStops);
  for (const Json& value : list) {
    const std::optional<int64_t> id = whole_number(value);
    if (!id || *id < 0 || *id >= vocab)
      fail(ErrorCode::kInvalid, "\"stop_token_ids\" holds {}, expected ids from 0 to {}",
           value.dump().substr(0, 80), vocab - 1);
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

// "max_tokens", its name in newer chats, or in llama.cpp; -1: no limit.
int64_t read_max_tokens(const Json& body, ApiKind kind) {
  constexpr int64_t kNoLimit = -1;
  const int64_t otherwise = kind == ApiKind::kChat ? kNoLimit : kDefaultCompletionTokens;
  std::optional<int64_t> tokens;
  for (const char* key : {"n_predict", "max_tokens", "max_completion_tokens"}) {
    if (field(body, key).is_null()) continue;
    const int64_t own = integer(body, key, otherwise, kNoLimit, kMaxCount);
    if (tokens && *tokens != own)
      fail(ErrorCode::kInvalid, "\"{}\" is {}, and another name of it says {}", key, own, *tokens);
    tokens = own;
  }
  const int64_t most = tokens.value_or(otherwise);
  return most == kNoLimit ? kMaxCount : most;
}

// A completion says how many alternatives of a token it wants, a chat that it wants scores at all, and then
// how many.
std::optional<int64_t> read_logprobs(const Json& body, ApiKind kind) {
  if (kind == ApiKind::kCompletion) {
    const Json& value = field(body, "logprobs");
    if (value.is_null() || value == false) return {};
    return integer(body, "logprobs", 0, 0, kMaxLogprobs);
  }
  const int64_t top = integer(body, "top_logprobs", 0, 0, kMaxLogprobs);
  if (boolean(body, "logprobs")) return top;
  if (top > 0) fail(ErrorCode::kInvalid, "\"top_logprobs\" is {}, but \"logprobs\" is not true", top);
  return {};
}

}  // namespace

GenerateOptions read_options(const Json& body, ApiKind kind, const ServedModel& model) {
  const int64_t vocab = model.packed->config.vocab_size;
  GenerateOptions options = model.defaults;
  options.sampling = read_sampling(body, model.defaults.sampling, vocab);
  options.max_tokens = read_max_tokens(body, kind);
  options.min_tokens = integer(body, "min_tokens", 0, 0, kMaxCount);
  if (options.min_tokens > options.max_tokens)
    fail(ErrorCode::kInvalid, "\"min_tokens\" is {}, more than the {} tokens that are asked for at most",
         options.min_tokens, options.max_tokens);
  options.stop = read_stops(body);
  options.ignore_eos = boolean(body, "ignore_eos");
  if (options.ignore_eos) options.stop_ids.clear();
  const std::vector<int32_t> stop_ids = read_stop_ids(body, vocab);
  options.stop_ids.insert(options.stop_ids.end(), stop_ids.begin(), stop_ids.end());
  options.logprobs = read_logprobs(body, kind);
  return options;
}

}  // namespace pare
