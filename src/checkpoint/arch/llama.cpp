// LLaMA.
#include "checkpoint/arch/config_keys.h"
#include "checkpoint/arch/decoder.h"

namespace pare {
namespace {

constexpr const char* kName = "llama";
constexpr const char* kClass = "LlamaForCausalLM";

bool matches(const Json& config) { return decoder::is_kind(config, kName, kClass); }

ModelConfig read_config(const Json& json) {
  ModelConfig config = decoder::read_config(json, kName, {});
  decoder::read_dense_blocks(json, config);
  const bool attention = config_keys::get_bool(json, "attention_bias", false);
  const bool mlp = config_keys::get_bool(json, "mlp_bias", false);
  config.bias = {attention, attention, attention, attention, mlp, mlp, mlp};
  validate(config);
  return config;
}

// LlamaConfig of transformers 5 insists that heads divide the width, although it has a head size of its own.
bool heads_divide_width(const ModelConfig& config) { return config.embedding_width % config.heads == 0; }

bool is_plain(const ModelConfig& config) {
  const BiasConfig& b = config.bias;
  const bool attention = b.q == b.k && b.q == b.v && b.q == b.o;
  const bool biases = attention && b.gate == b.up && b.gate == b.down;
  return decoder::is_plain_decoder(config) && biases && (heads_divide_width(config) || b == BiasConfig());
}

// A Mistral without a window is a LLaMA without biases.
const Architecture* stand_in(const ModelConfig& config) {
  return heads_divide_width(config) ? nullptr : &mistral_architecture();
}

Json write_config(const ModelConfig& config) {
  Json json = decoder::write_config(config, kName, kClass);
  json["attention_bias"] = config.bias.q;
  json["mlp_bias"] = config.bias.gate;
  return json;
}

ModelConfig read_gguf(const GgufFile& file) { return decoder::read_gguf(file, kName, kName); }
std::vector<GgufEntry> write_gguf(const ModelConfig& config) { return decoder::write_gguf(config, kName); }

}  // namespace

const Architecture& llama_architecture() {
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
      .gguf_interleaved_rope = true,
      .names = decoder::kNames,
      .optional_prefix = decoder::kOptionalPrefix,
      .stand_in = stand_in,
  };
  return instance;
}

}  // namespace pare
