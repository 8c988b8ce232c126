// Qwen3: LLaMA with norms of each head's queries and keys, and heads of a size of their own.
#include "checkpoint/arch/config_keys.h"
#include "checkpoint/arch/decoder.h"

namespace pare {
namespace {

constexpr const char* kName = "qwen3";
constexpr const char* kClass = "Qwen3ForCausalLM";
constexpr BlockDesign kDesign = {.query_key_norm = QueryKeyNorm::kHead};

bool matches(const Json& config) { return decoder::is_kind(config, kName, kClass); }

ModelConfig read_config(const Json& json) {
  ModelConfig config =
      decoder::read_config(json, kName, {.max_positions = 32768, .kv_heads = 32, .head_dim = 128});
  decoder::read_dense_blocks(json, config);
  config.design.query_key_norm = kDesign.query_key_norm;
  config.bias = decoder::attention_bias(config_keys::get_bool(json, "attention_bias", false));
  decoder::limit_to_optional_window(json, config);
  validate(config);
  return config;
}

bool is_plain(const ModelConfig& config) {
  return decoder::is_plain_decoder(config, kDesign) && config.bias == decoder::attention_bias(config.bias.q);
}

Json write_config(const ModelConfig& config) {
  Json json = decoder::write_config(config, kName, kClass);
  json["attention_bias"] = config.bias.q;
  json["use_sliding_window"] = false;
  return json;
}

ModelConfig read_gguf(const GgufFile& file) {
  ModelConfig config = decoder::read_gguf(file, kName, kName);
  config.design = kDesign;
  return config;
}

std::vector<GgufEntry> write_gguf(const ModelConfig& config) {
  decoder::require_no_biases(config);
  return decoder::write_gguf(config, kName);
}

}  // namespace

const Architecture& qwen3_architecture() {
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
      .names = decoder::kNames,
      .optional_prefix = decoder::kOptionalPrefix,
  };
  return instance;
}

}  // namespace pare
