// Phi-1, Phi-1.5 and Phi-2: attention and MLP side by side behind one layer norm, biases everywhere, also on
// the head, and a rotary embedding of a part of each head.
#include "checkpoint/arch/config_keys.h"
#include "checkpoint/arch/decoder.h"

namespace pare {
namespace {

using namespace config_keys;

constexpr const char* kName = "phi";
constexpr const char* kClass = "PhiForCausalLM";
constexpr double kRotaryShare = 0.5;
constexpr BiasConfig kBias = {true, true, true, true, false, true, true};

constexpr RoleName kNames[] = {
    {Role::kEmbedding, "model.embed_tokens", ""},
    {Role::kAttentionNorm, "model.layers.{}.input_layernorm", ""},
    {Role::kQuery, "model.layers.{}.self_attn.q_proj", ""},
    {Role::kKey, "model.layers.{}.self_attn.k_proj", ""},
    {Role::kValue, "model.layers.{}.self_attn.v_proj", ""},
    {Role::kAttentionOutput, "model.layers.{}.self_attn.dense", ""},
    {Role::kUp, "model.layers.{}.mlp.fc1", ""},
    {Role::kDown, "model.layers.{}.mlp.fc2", ""},
    {Role::kFinalNorm, "model.final_layernorm", ""},
    {Role::kHead, "lm_head", ""},
};

bool matches(const Json& config) { return decoder::is_kind(config, kName, kClass); }

ModelConfig read_config(const Json& json) {
  ModelConfig config;
  config.architecture = kName;
  if (get_bool(json, "qk_layernorm", false))
    fail(ErrorCode::kUnsupported, "{}: qk_layernorm is not supported: queries and keys would have norms",
         kWhat);
  const int64_t hidden = get_int(json, "hidden_size");
  config.design = {NormKind::kLayer, decoder::read_activation(json, "hidden_act", "gelu_new"), false, true};
  config.heads = get_int(json, "num_attention_heads");
  if (config.heads < 1) fail(ErrorCode::kFormat, "{}: num_attention_heads is {}", kWhat, config.heads);
  config.kv_heads = decoder::kv_heads_of(json, config.heads, config.heads);
  config.head_dim = hidden / config.heads;
  if (config.head_dim * config.heads != hidden)
    fail(ErrorCode::kFormat, "{}: hidden_size {} does not divide into {} heads", kWhat, hidden, config.heads);
  config.max_positions = get_int(json, "max_position_embeddings", 2048);
  double rotary_share = kRotaryShare;
  config.rope = decoder::read_rope(json, config.max_positions, rotary_share);
  if (!(rotary_share > 0.0 && rotary_share <= 1.0))
    fail(ErrorCode::kFormat, "{}: partial_rotary_factor is {}", kWhat, rotary_share);
  config.rotary_dim = static_cast<int64_t>(static_cast<double>(config.head_dim) * rotary_share);
  config.norm_width = hidden;
  config.norm_eps = get_number(json, "layer_norm_eps", 1e-5);
  config.embedding_width = hidden;
  config.bias = kBias;
  config.head_bias = true;
  const int64_t intermediate = get_int(json, "intermediate_size");
  if (intermediate < 1) fail(ErrorCode::kFormat, "{}: intermediate_size is {}", kWhat, intermediate);
  config.blocks.assign(static_cast<size_t>(decoder::layer_count(json)),
                       {hidden, hidden, hidden, config.head_dim, intermediate, false, false});
  decoder::read_vocabulary(json, false, config);
  validate(config);
  return config;
}

bool is_plain(const ModelConfig& config) {
  const BlockDesign& design = config.design;
  return decoder::has_plain_shape(config) && design.norm == NormKind::kLayer && !design.gated &&
         design.parallel && design.norm_place == NormPlace::kInput &&
         design.query_key_norm == QueryKeyNorm::kNone &&
         config.heads * config.head_dim == config.embedding_width && config.rotary_dim > 0 &&
         !config.learned_positions && config.bias == kBias && config.head_bias;
}

Json write_config(const ModelConfig& config) {
  Json json = decoder::write_config(config, kName, kClass);
  json.erase("rms_norm_eps");
  json.erase("head_dim");
  json["layer_norm_eps"] = config.norm_eps;
  json["qk_layernorm"] = false;
  json["partial_rotary_factor"] =
      static_cast<double>(config.rotary_dim) / static_cast<double>(config.head_dim);
  return json;
}

}  // namespace

const Architecture& phi_architecture() {
  static const Architecture instance = {
      .name = kName,
      .gguf = {},
      .matches = matches,
      .read_config = read_config,
      .read_gguf = nullptr,
      .write_config = write_config,
      .write_gguf = nullptr,
      .extra_gguf_tensors = nullptr,
      .is_plain = is_plain,
      .gguf_interleaved_rope = false,
      .names = kNames,
      .optional_prefix = decoder::kOptionalPrefix,
  };
  return instance;
}

}  // namespace pare
