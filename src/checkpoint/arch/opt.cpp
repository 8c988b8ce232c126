// OPT: layer norms, biases on every linear, learned positions, an MLP without a gate. In OPT-350m norms stand
// behind the residual sums, there is no final one, and the embedding is narrower than the residual stream.
#include "checkpoint/arch/config_keys.h"
#include "checkpoint/arch/decoder.h"

namespace pare {
namespace {

using namespace config_keys;

constexpr const char* kName = "opt";
constexpr const char* kClass = "OPTForCausalLM";
constexpr double kNormEps = 1e-5;       // not in config.json
constexpr int64_t kPositionOffset = 2;  // rows of the table before that of position 0
constexpr int64_t kPadToken = 1;

constexpr RoleName kNames[] = {
    {Role::kEmbedding, "model.decoder.embed_tokens", ""},
    {Role::kEmbeddingTransform, "model.decoder.project_in", ""},
    {Role::kPositions, "model.decoder.embed_positions", ""},
    {Role::kAttentionNorm, "model.decoder.layers.{}.self_attn_layer_norm", ""},
    {Role::kQuery, "model.decoder.layers.{}.self_attn.q_proj", ""},
    {Role::kKey, "model.decoder.layers.{}.self_attn.k_proj", ""},
    {Role::kValue, "model.decoder.layers.{}.self_attn.v_proj", ""},
    {Role::kAttentionOutput, "model.decoder.layers.{}.self_attn.out_proj", ""},
    {Role::kMlpNorm, "model.decoder.layers.{}.final_layer_norm", ""},
    {Role::kUp, "model.decoder.layers.{}.fc1", ""},
    {Role::kDown, "model.decoder.layers.{}.fc2", ""},
    {Role::kFinalNorm, "model.decoder.final_layer_norm", ""},
    {Role::kHeadTransform, "model.decoder.project_out", ""},
    {Role::kHead, "lm_head", ""},
};

BiasConfig all_biases(bool enabled) { return {enabled, enabled, enabled, enabled, false, enabled, enabled}; }

bool matches(const Json& config) { return decoder::is_kind(config, kName, kClass); }

ModelConfig read_config(const Json& json) {
  ModelConfig config;
  config.architecture = kName;
  const int64_t hidden = get_int(json, "hidden_size");
  if (!get_bool(json, "layer_norm_elementwise_affine", true))
    fail(ErrorCode::kUnsupported,
         "{}: layer_norm_elementwise_affine false is not supported: the norms would have no weights", kWhat);
  const bool norm_before = get_bool(json, "do_layer_norm_before", true);
  config.design = {NormKind::kLayer, decoder::read_activation(json, "activation_function", "relu"), false,
                   false, norm_before ? NormPlace::kInput : NormPlace::kSum};
  config.final_norm = norm_before && !get_bool(json, "_remove_final_layer_norm", false);
  config.heads = get_int(json, "num_attention_heads");
  if (config.heads < 1) fail(ErrorCode::kFormat, "{}: num_attention_heads is {}", kWhat, config.heads);
  config.kv_heads = config.heads;
  config.head_dim = hidden / config.heads;
  if (config.head_dim * config.heads != hidden)
    fail(ErrorCode::kFormat, "{}: hidden_size {} does not divide into {} heads", kWhat, hidden, config.heads);
  config.max_positions = get_int(json, "max_position_embeddings", 2048);
  config.learned_positions = true;
  config.position_offset = kPositionOffset;
  config.norm_width = hidden;
  config.norm_eps = kNormEps;
  config.embedding_width = get_int(json, "word_embed_proj_dim", hidden);
  config.embedding_transform = config.head_transform = config.embedding_width != hidden;
  config.bias = all_biases(get_bool(json, "enable_bias", true));
  const int64_t intermediate = get_int(json, "ffn_dim");
  if (intermediate < 1) fail(ErrorCode::kFormat, "{}: ffn_dim is {}", kWhat, intermediate);
  config.blocks.assign(static_cast<size_t>(decoder::layer_count(json)),
                       {hidden, hidden, hidden, config.head_dim, intermediate, false, false});
  decoder::read_vocabulary(json, true, config);
  validate(config);
  return config;
}

bool is_plain(const ModelConfig& config) {
  const BlockDesign& design = config.design;
  const int64_t hidden = config.stream_width();
  return config.is_uniform() && config.norm_width == hidden && design.norm == NormKind::kLayer &&
         !design.gated && !design.parallel && design.norm_place != NormPlace::kBranch &&
         design.query_key_norm == QueryKeyNorm::kNone &&
         (design.norm_place == NormPlace::kInput || !config.final_norm) &&
         config.embedding_transform == (config.embedding_width != hidden) &&
         config.kv_heads == config.heads && config.heads * config.head_dim == hidden &&
         config.rotary_dim == 0 && config.learned_positions && config.position_offset == kPositionOffset &&
         config.bias == all_biases(config.bias.q) && !config.head_bias && config.norm_eps == kNormEps;
}

Json write_config(const ModelConfig& config) {
  Json json;
  json["architectures"] = Json::array({kClass});
  json["model_type"] = kName;
  json["hidden_size"] = config.stream_width();
  json["word_embed_proj_dim"] = config.embedding_width;
  json["ffn_dim"] = config.blocks.front().intermediate_size;
  json["num_hidden_layers"] = config.blocks.size();
  json["num_attention_heads"] = config.heads;
  json["max_position_embeddings"] = config.max_positions;
  json["activation_function"] = decoder::activation_name(config.design.activation);
  const bool norm_before = config.design.norm_place == NormPlace::kInput;
  json["do_layer_norm_before"] = norm_before;
  if (norm_before && !config.final_norm) json["_remove_final_layer_norm"] = true;
  json["enable_bias"] = config.bias.q;
  json["pad_token_id"] = kPadToken;
  decoder::write_vocabulary(config, json);
  return json;
}

}  // namespace

const Architecture& opt_architecture() {
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
