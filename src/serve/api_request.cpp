#include "serve/api_request.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "serve/api_messages.h"

namespace pare {
namespace {

constexpr const char* kWhat = "request";
constexpr int64_t kDefaultCompletionTokens = 16;  // the API's own
constexpr int64_t kMaxTokens = 1 << 30;

// A number in [low, high], `otherwise` when it is absent or null.
double number(const Json& body, const char* key, double otherwise, double low, double high) {
  const double value = json_find<double>(body, key, kWhat).value_or(otherwise);
  if (!(value >= low && value <= high))
    fail(ErrorCode::kInvalid, "\"{}\" is {}, expected {} to {}", key, value, low, high);
  return value;
}
int64_t integer(const Json& body, const char* key, int64_t otherwise, int64_t low, int64_t high) {
  const int64_t value = json_find<int64_t>(body, key, kWhat).value_or(otherwise);
  if (value < low || value > high)
    fail(ErrorCode::kInvalid, "\"{}\" is {}, expected {} to {}", key, value, low, high);
  return value;
}
bool boolean(const Json& body, const char* key) { return json_find<bool>(body, key, kWhat).value_or(false); }

// The field, or null when it is absent.
const Json& field(const Json& body, const char* key) {
  static const Json kNothing;
  const auto found = body.find(key);
  return found == body.end() ? kNothing : *found;
}

// Whether a value of a field that pare does not have asks for nothing.
bool says_nothing(const Json& value) {
  return value.is_null() || value == false || value == 0 || (value.is_array() && value.empty()) ||
         (value.is_object() && value.empty());
}

void refuse_unsupported(const Json& body) {
  for (const char* key : {"logprobs", "top_logprobs", "echo", "suffix", "presence_penalty",
                          "frequency_penalty", "logit_bias", "audio", "prediction"})
    if (!says_nothing(field(body, key))) fail(ErrorCode::kUnsupported, "\"{}\" is not supported", key);
  const Json& best_of = field(body, "best_of");
  if (!best_of.is_null() && best_of != 1)
    fail(ErrorCode::kUnsupported, "\"best_of\" is not supported, but for 1");
  const Json& format = field(body, "response_format");
  if (!format.is_null() && !(format.is_object() && field(format, "type") == "text"))
    fail(ErrorCode::kUnsupported, "\"response_format\" is not supported, but for {{\"type\": \"text\"}}");
}

size_t find_model(const Json& body, const std::vector<ServedModel>& models) {
  const std::string id = json_find<std::string>(body, "model", kWhat).value_or("");
  if (id.empty()) return 0;
  for (size_t i = 0; i < models.size(); ++i)
    if (models[i].id == id) return i;
  fail(ErrorCode::kNotFound, "the model \"{}\" is not served here: GET /v1/models lists those that are", id);
}

std::vector<std::string> read_stops(const Json& body) {
  const Json& stop = field(body, "stop");
  std::vector<std::string> stops;
  if (stop.is_null()) return stops;
  const auto add = [&](const Json& text) {
    if (!text.is_string()) fail(ErrorCode::kFormat, "\"stop\" is neither a text nor a list of texts");
    stops.push_back(text.get<std::string>());
    if (stops.back().empty() || static_cast<int64_t>(stops.back().size()) > kMaxStopBytes)
      fail(ErrorCode::kInvalid, "a text of \"stop\" has {} bytes, expected 1 to {}", stops.back().size(),
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

uint64_t random_seed() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 31 ^ device();
}

SamplingOptions read_sampling(const Json& body) {
  constexpr double kLarge = 1e6;
  SamplingOptions sampling;
  sampling.temperature = number(body, "temperature", 1.0, 0.0, kLarge);
  sampling.top_p = number(body, "top_p", 1.0, 0.0, 1.0);
  // A mass of 0 is what some clients call greedy: the set is the first token alone.
  if (sampling.top_p == 0.0) sampling.top_p = std::numeric_limits<double>::min();
  sampling.min_p = number(body, "min_p", 0.0, 0.0, 1.0);
  sampling.top_k = std::max<int64_t>(0, integer(body, "top_k", 0, -1, kMaxTokens));  // -1: all
  sampling.repetition_penalty = number(body, "repetition_penalty", 1.0, 1.0 / kLarge, kLarge);
  const auto seed = json_find<int64_t>(body, "seed", kWhat);
  sampling.seed = seed ? static_cast<uint64_t>(*seed) : random_seed();
  return sampling;
}

// "max_tokens", or its name in newer chats.
int64_t read_max_tokens(const Json& body, ApiKind kind) {
  const bool is_chat = kind == ApiKind::kChat;
  const bool newer = is_chat && !field(body, "max_completion_tokens").is_null();
  return integer(body, newer ? "max_completion_tokens" : "max_tokens",
                 is_chat ? kMaxTokens : kDefaultCompletionTokens, 1, kMaxTokens);
}

bool is_ids(const Json& value) {
  return value.is_array() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const Json& id) { return id.is_number_integer(); });
}

std::vector<int32_t> read_prompt(const Json& value, const Tokenizer& tokenizer) {
  // The completions API takes a prompt as it is: special tokens in it are meant.
  if (value.is_string()) return tokenizer.encode(value.get_ref<const std::string&>(), {true, true});
  if (!is_ids(value))
    fail(ErrorCode::kFormat, "\"prompt\" is neither a text, a list of token ids nor a list of such prompts");
  std::vector<int32_t> ids;
  for (const Json& id : value) {
    if (id.is_number_unsigned() && id.get<uint64_t>() < static_cast<uint64_t>(Tokenizer::kMaxVocab))
      ids.push_back(id.get<int32_t>());
    else
      fail(ErrorCode::kInvalid, "\"prompt\" holds {}, which is no token id", id.dump());
  }
  return ids;
}

std::vector<std::vector<int32_t>> read_prompts(const Json& body, const Tokenizer& tokenizer) {
  const Json& prompt = field(body, "prompt");
  if (prompt.is_null()) fail(ErrorCode::kFormat, "\"prompt\" is missing");
  std::vector<std::vector<int32_t>> prompts;
  if (!prompt.is_array() || is_ids(prompt)) {
    prompts.push_back(read_prompt(prompt, tokenizer));
    return prompts;
  }
  if (prompt.empty() || static_cast<int64_t>(prompt.size()) > kMaxChoices)
    fail(ErrorCode::kInvalid, "\"prompt\" is a list of {} prompts, expected 1 to {}", prompt.size(),
         kMaxChoices);
  for (const Json& one : prompt) prompts.push_back(read_prompt(one, tokenizer));
  return prompts;
}

}  // namespace

ApiRequest read_api_request(ApiKind kind, std::string_view body, const std::vector<ServedModel>& models,
                            int64_t context) {
  const Json json = parse_json(body, kWhat);
  if (!json.is_object()) fail(ErrorCode::kFormat, "{}: it is not a JSON object", kWhat);
  refuse_unsupported(json);
  refuse_tools(json);
  ApiRequest request;
  request.kind = kind;
  request.model = find_model(json, models);
  const ServedModel& model = models[request.model];
  const ModelConfig& config = model.packed->config;

  GenerateOptions options;
  options.sampling = read_sampling(json);
  options.max_tokens = read_max_tokens(json, kind);
  options.stop = read_stops(json);
  options.ignore_eos = boolean(json, "ignore_eos");

  std::vector<std::vector<int32_t>> prompts;
  if (kind == ApiKind::kCompletion) {
    prompts = read_prompts(json, *model.tokenizer);
  } else {
    if (!model.chat) fail(ErrorCode::kUnsupported, "{}", model.why_no_chat);
    const ChatInput input = read_chat_input(json);
    prompts.push_back(encode_chat(*model.tokenizer, model.chat->chat.render(input)));
    add_chat_ends(*model.chat, options);
    request.continues = input.ending == ChatEnding::kContinued;
  }
  const int64_t n = integer(json, "n", 1, 1, kMaxChoices);
  if (static_cast<int64_t>(prompts.size()) * n > kMaxChoices)
    fail(ErrorCode::kInvalid, "{} prompts with \"n\" of {} make more than {} choices", prompts.size(), n,
         kMaxChoices);
  for (const std::vector<int32_t>& prompt : prompts)
    for (int64_t i = 0; i < n; ++i) {
      request.choices.push_back({starting_ids(prompt, config, usable_context(context, config)), options});
      ++options.sampling.seed;
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
