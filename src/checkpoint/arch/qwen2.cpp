// Qwen2 and Qwen2.5: LLaMA with biases on queries, keys and values.
#include "checkpoint/arch/decoder.h"

namespace pare {
namespace {

constexpr const char* kName = "qwen2";
constexpr const char* kClass = "Qwen2ForCausalLM";
constexpr BiasConfig kBias = {true, true, true, false, false, false, false};

bool matches(const Json& config) { return decoder::is_kind(config, kName, kClass); }

ModelConfig read_config(const Json& json) {
  ModelConfig config = decoder::read_config(json, kName, {.max_positions = 32768, .kv_heads = 32});
  decoder::read_dense_blocks(json, config);
  config.bias = kBias;
  decoder::limit_to_optional_window(json, config);
  validate(config);
  return config;
}

bool is_plain(const ModelConfig& config) { return decoder::is_plain_decoder(config) && config.bias == kBias; }

Json write_config(const ModelConfig& config) {
  Json json = decoder::write_config(config, kName, kClass);
  json["use_sliding_window"] = false;
  return json;
}

ModelConfig read_gguf(const GgufFile& file) { return decoder::read_gguf(file, kName, kName); }
std::vector<GgufEntry> write_gguf(const ModelConfig& config) { return decoder::write_gguf(config, kName); }

}  // namespace

const Architecture& qwen2_architecture() {
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
