#include "serve/api_unsupported.h"

#include <string_view>

#include "serve/api_fields.h"

namespace pare {
namespace {

// Fields that are refused unless they are null, false, 0 or empty.
constexpr const char* kRefused[] = {
    // OpenAI
    "suffix", "audio", "prediction", "web_search_options", "verbosity",
    // llama.cpp
    "grammar", "json_schema", "grammar_triggers", "mirostat", "dynatemp_range", "xtc_probability",
    "dry_multiplier", "min_keep", "samplers", "n_probs", "post_sampling_probs", "t_max_predict_ms", "lora",
    "image_data", "n_indent",
    // vLLM
    "guided_json", "guided_regex", "guided_choice", "guided_grammar", "guided_whitespace_pattern",
    "structured_outputs", "structural_tag", "use_beam_search", "num_beams", "prompt_logprobs", "bad_words",
    "allowed_token_ids", "include_stop_str_in_output", "truncate_prompt_tokens", "logits_processors",
    "prompt_embeds", "return_tokens_as_token_ids", "return_token_ids", "thinking_token_budget",
    "repetition_detection", "vllm_xargs",
    // transformers, Ollama
    "max_new_tokens", "options",
    // SGLang, TGI, TabbyAPI, text-generation-webui
    "regex", "ebnf", "stop_regex", "no_stop_trim", "watermark", "top_n_tokens", "decoder_input_details",
    "regex_pattern", "banned_strings", "banned_tokens", "custom_token_bans", "top_a", "epsilon_cutoff",
    "eta_cutoff", "no_repeat_ngram_size", "penalty_alpha", "smoothing_factor", "dynamic_temperature",
    "mirostat_mode", "negative_prompt", "token_healing"};

// Fields that are accepted also with this value, which changes nothing.
struct Neutral {
  const char* key;
  double value;
};
constexpr Neutral kNeutral[] = {
    {"typical_p", 1.0},     {"typical", 1.0},          {"top_n_sigma", -1.0},
    {"nsigma", -1.0},       {"adaptive_target", -1.0}, {"tfs_z", 1.0},
    {"tfs", 1.0},           {"length_penalty", 1.0},   {"encoder_repetition_penalty", 1.0},
    {"guidance_scale", 1.0}};

bool says_nothing(const Json& value) {
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  return value.is_null() || value == false || value == 0 || (value.is_structured() && value.empty());
}

[[noreturn]] void refuse(std::string_view key) {
  fail(ErrorCode::kUnsupported, "\"{}\" is not supported", key);
}

}  // namespace

void refuse_unsupported(const Json& body) {
  for (const char* key : kRefused)
    if (!says_nothing(field(body, key))) refuse(key);
  for (const auto& [key, neutral] : kNeutral)
    if (const Json& value = field(body, key); !says_nothing(value) && value != neutral) refuse(key);
  if (!boolean(body, "skip_special_tokens", true)) refuse("skip_special_tokens");
  const Json& format = field(body, "response_format");
  if (!format.is_null() && !(format.is_object() && field(format, "type") == "text"))
    fail(ErrorCode::kUnsupported, "\"response_format\" is not supported, but for {{\"type\": \"text\"}}");
  const Json& modalities = field(body, "modalities");
  if (!modalities.is_null() && modalities != Json::array({"text"}))
    fail(ErrorCode::kUnsupported, "\"modalities\" is not supported, but for [\"text\"]");
}

}  // namespace pare
