// OLMo-2: LLaMA with norms behind its branches instead of before them, and of all queries and keys of a
// token.
#include "checkpoint/arch/config_keys.h"
#include "checkpoint/arch/decoder.h"

namespace pare {
namespace {

constexpr const char* kName = "olmo2";
constexpr const char* kClass = "Olmo2ForCausalLM";
constexpr BlockDesign kDesign = {.norm_place = NormPlace::kBranch, .query_key_norm = QueryKeyNorm::kWhole};

constexpr RoleName kNames[] = {
    {Role::kEmbedding, "model.embed_tokens", "token_embd"},
    {Role::kAttentionNorm, "model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"},
    {Role::kQuery, "model.layers.{}.self_attn.q_proj", "blk.{}.attn_q"},
    {Role::kKey, "model.layers.{}.self_attn.k_proj", "blk.{}.attn_k"},
    {Role::kValue, "model.layers.{}.self_attn.v_proj", "blk.{}.attn_v"},
    {Role::kQueryNorm, "model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"},
    {Role::kKeyNorm, "model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"},
    {Role::kAttentionOutput, "model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"},
    {Role::kMlpNorm, "model.layers.{}.post_feedforward_layernorm", "blk.{}.post_ffw_norm"},
    {Role::kGate, "model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate"},
    {Role::kUp, "model.layers.{}.mlp.up_proj", "blk.{}.ffn_up"},
    {Role::kDown, "model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"},
    {Role::kFinalNorm, "model.norm", "output_norm"},
    {Role::kHead, "lm_head", "output"},
};

bool matches(const Json& config) { return decoder::is_kind(config, kName, kClass); }

ModelConfig read_config(const Json& json) {
  ModelConfig config = decoder::read_config(json, kName, {.norm_eps = 1e-5});
  decoder::read_dense_blocks(json, config);
  config.design.norm_place = kDesign.norm_place;
  config.design.query_key_norm = kDesign.query_key_norm;
  config.bias = decoder::attention_bias(config_keys::get_bool(json, "attention_bias", false));
  validate(config);
  return config;
}

bool is_plain(const ModelConfig& config) {
  return decoder::is_plain_decoder(config, kDesign) &&
         config.heads * config.head_dim == config.embedding_width &&
         config.bias == decoder::attention_bias(config.bias.q);
}

Json write_config(const ModelConfig& config) {
  Json json = decoder::write_config(config, kName, kClass);
  json.erase("head_dim");
  json["attention_bias"] = config.bias.q;
  return json;
}

ModelConfig read_gguf(const GgufFile& file) {
  ModelConfig config = decoder::read_gguf(file, kName, kName);
  config.design = kDesign;
  return config;
}

std::vector<GgufEntry> write_gguf(const ModelConfig& config) {
  decoder::require_no_biases(config);
  if (config.tied)
    fail(ErrorCode::kUnsupported,
         "GGUF files of architecture {} have a head of their own, this model's is tied", kName);
  return decoder::write_gguf(config, kName);
}

}  // namespace

const Architecture& olmo2_architecture() {
  static const Architecture instance = {
      .name = kName,
      .gguf = kName,
      .matches = matches,
      .read_config = read_config,
      .read_gguf = read_gguf,
      .write_config = write_config,
      .write_gguf = write_gguf,
      .extra_gguf_tensors = decoder::extra_gguf_tensors,
      .is_plain = is_plain,
      .gguf_interleaved_rope = false,
      .names = kNames,
      .optional_prefix = decoder::kOptionalPrefix,
  };
  return instance;
}

}  // namespace pare
