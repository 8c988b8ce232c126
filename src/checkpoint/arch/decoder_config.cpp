// config.json of the families of LLaMA's kind.
#include <algorithm>

#include "base/log.h"
#include "checkpoint/arch/config_keys.h"
#include "checkpoint/arch/decoder.h"
#include "checkpoint/end_tokens.h"

namespace pare::decoder {
namespace {

using namespace config_keys;

constexpr int64_t kMaxLayers = 4096;

struct ActivationName {
  ActivationFunction activation;
  std::string_view name;
};
// The first name of each is the one that is written.
constexpr ActivationName kActivations[] = {
    {ActivationFunction::kSilu, "silu"},          {ActivationFunction::kSilu, "swish"},
    {ActivationFunction::kRelu, "relu"},          {ActivationFunction::kGelu, "gelu"},
    {ActivationFunction::kGeluTanh, "gelu_new"},  {ActivationFunction::kGeluTanh, "gelu_pytorch_tanh"},
    {ActivationFunction::kGeluTanh, "gelu_fast"},
};

}  // namespace

bool is_kind(const Json& config, std::string_view model_type, std::string_view class_name) {
  const auto type = json_find<std::string>(config, "model_type", kWhat);
  if (type) return *type == model_type;
  const auto classes = config.find("architectures");
  return classes != config.end() && classes->is_array() && !classes->empty() &&
         classes->front() == class_name;
}

int64_t layer_count(const Json& json) {
  const int64_t layers = get_int(json, "num_hidden_layers");
  if (layers < 1 || layers > kMaxLayers)
    fail(ErrorCode::kFormat, "{}: num_hidden_layers is {}", kWhat, layers);
  return layers;
}

ActivationFunction read_activation(const Json& json, const char* key, const char* fallback) {
  const auto name = json_find<std::string>(json, key, kWhat).value_or(fallback);
  for (const ActivationName& entry : kActivations)
    if (entry.name == name) return entry.activation;
  fail(ErrorCode::kUnsupported, "{}: {} \"{}\" is not supported", kWhat, key, name);
}

std::string_view activation_name(ActivationFunction activation) {
  const auto* entry = std::find_if(std::begin(kActivations), std::end(kActivations),
                                   [&](const ActivationName& e) { return e.activation == activation; });
  PARE_CHECK(entry != std::end(kActivations));
  return entry->name;
}

void read_vocabulary(const Json& json, bool tied, ModelConfig& config) {
  config.vocab_size = get_int(json, "vocab_size");
  config.tied = get_bool(json, "tie_word_embeddings", tied);
  if (const auto bos = read_token_ids(json, "bos_token_id", kWhat); !bos.empty()) config.bos = bos.front();
  config.eos = read_token_ids(json, "eos_token_id", kWhat);
}

void write_vocabulary(const ModelConfig& config, Json& json) {
  json["vocab_size"] = config.vocab_size;
  json["tie_word_embeddings"] = config.tied;
  if (config.bos) json["bos_token_id"] = *config.bos;
  if (config.eos.size() == 1) json["eos_token_id"] = config.eos.front();
  if (config.eos.size() > 1) json["eos_token_id"] = config.eos;
}

int64_t kv_heads_of(const Json& json, int64_t heads, int64_t absent) {
  const auto found = json.find("num_key_value_heads");
  if (found == json.end()) return absent;
  return found->is_null() ? heads : get_int(json, "num_key_value_heads");
}

ModelConfig read_config(const Json& json, std::string_view architecture, const Defaults& defaults) {
  ModelConfig config;
  config.architecture = architecture;
  config.design.activation = read_activation(json, "hidden_act", "silu");
  const int64_t hidden = get_int(json, "hidden_size");
  config.blocks.resize(static_cast<size_t>(layer_count(json)));
  config.heads = get_int(json, "num_attention_heads");
  if (config.heads < 1) fail(ErrorCode::kFormat, "{}: num_attention_heads is {}", kWhat, config.heads);
  config.kv_heads =
      kv_heads_of(json, config.heads, defaults.kv_heads == 0 ? config.heads : defaults.kv_heads);
  config.head_dim =
      get_int(json, "head_dim", defaults.head_dim == 0 ? hidden / config.heads : defaults.head_dim);
  config.max_positions = get_int(json, "max_position_embeddings", defaults.max_positions);
  config.norm_eps = get_number(json, "rms_norm_eps", defaults.norm_eps);
  config.norm_width = hidden;
  config.embedding_width = hidden;
  double rotary_share = 1.0;
  config.rope = read_rope(json, config.max_positions, rotary_share);
  if (rotary_share != 1.0)
    fail(ErrorCode::kUnsupported, "{}: partial_rotary_factor {} is not supported for this architecture",
         kWhat, rotary_share);
  config.rotary_dim = config.head_dim;
  read_vocabulary(json, false, config);
  return config;
}

void read_dense_blocks(const Json& json, ModelConfig& config) {
  const int64_t hidden = config.embedding_width;
  const BlockShape shape = {hidden, hidden, hidden, config.head_dim, get_int(json, "intermediate_size"),
                            false,  false};
  if (shape.intermediate_size < 1)
    fail(ErrorCode::kFormat, "{}: intermediate_size is {}", kWhat, shape.intermediate_size);
  std::fill(config.blocks.begin(), config.blocks.end(), shape);
}

void limit_to_window(int64_t window, ModelConfig& config) {
  if (window < 1) fail(ErrorCode::kFormat, "{}: sliding_window is {}", kWhat, window);
  config.sliding_window = window;
  if (window >= config.max_positions) return;
  log_warning(
      "attention looks back {} of {} tokens, which pare does not compute: it takes sequences of up to {} "
      "tokens",
      window, config.max_positions, window);
  config.trained_positions = config.max_positions;
  config.max_positions = window;
}

void limit_to_optional_window(const Json& json, ModelConfig& config) {
  constexpr int64_t kDefaultWindow = 4096;
  const auto window = json.find("sliding_window");
  if (get_bool(json, "use_sliding_window", false) && (window == json.end() || !window->is_null()))
    limit_to_window(get_int(json, "sliding_window", kDefaultWindow), config);
}

Json write_config(const ModelConfig& config, std::string_view model_type, std::string_view class_name) {
  Json json;
  json["architectures"] = Json::array({class_name});
  json["model_type"] = model_type;
  json["hidden_size"] = config.embedding_width;
  int64_t intermediate = 0;
  for (const BlockShape& b : config.blocks) intermediate = std::max(intermediate, b.intermediate_size);
  json["intermediate_size"] = intermediate;
  json["num_hidden_layers"] = config.blocks.size();
  json["num_attention_heads"] = config.heads;
  json["num_key_value_heads"] = config.kv_heads;
  json["head_dim"] = config.head_dim;
  json["max_position_embeddings"] = config.max_positions;
  json["hidden_act"] = activation_name(config.design.activation);
  json["rms_norm_eps"] = config.norm_eps;
  if (config.rotary_dim > 0) write_rope(config, json);
  write_vocabulary(config, json);
  return json;
}

bool has_plain_shape(const ModelConfig& config) {
  return config.is_uniform() && !config.embedding_transform && config.norm_width == config.embedding_width &&
         config.final_norm;
}

bool is_plain_decoder(const ModelConfig& config, const BlockDesign& design) {
  return has_plain_shape(config) && config.design == design && config.rotary_dim == config.head_dim &&
         !config.learned_positions && !config.head_bias;
}

void require_no_biases(const ModelConfig& config) {
  if (config.bias != BiasConfig())
    fail(ErrorCode::kUnsupported, "GGUF files of architecture {} have no biases, this model does",
         config.architecture);
}

}  // namespace pare::decoder
