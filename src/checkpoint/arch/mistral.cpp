// Mistral: LLaMA with a window on attention in its first versions. GGUF files call it "llama".
#include "checkpoint/arch/config_keys.h"
#include "checkpoint/arch/decoder.h"

namespace pare {
namespace {

constexpr const char* kName = "mistral";
constexpr const char* kClass = "MistralForCausalLM";
constexpr const char* kGguf = "llama";
constexpr int64_t kDefaultWindow = 4096;

bool matches(const Json& config) { return decoder::is_kind(config, kName, kClass); }

ModelConfig read_config(const Json& json) {
  ModelConfig config = decoder::read_config(json, kName, {.max_positions = 131072, .kv_heads = 8});
  decoder::read_dense_blocks(json, config);
  const auto window = json.find("sliding_window");
  if (window == json.end() || !window->is_null())  // null: no window
    decoder::limit_to_window(config_keys::get_int(json, "sliding_window", kDefaultWindow), config);
  validate(config);
  return config;
}

bool is_plain(const ModelConfig& config) {
  return decoder::is_plain_decoder(config) && config.bias == BiasConfig();
}

Json write_config(const ModelConfig& config) {
  Json json = decoder::write_config(config, kName, kClass);
  json["sliding_window"] = nullptr;
  if (config.sliding_window > 0) json["sliding_window"] = config.sliding_window;
  if (config.trained_positions > 0) json["max_position_embeddings"] = config.trained_positions;
  return json;
}

std::vector<GgufEntry> write_gguf(const ModelConfig& config) { return decoder::write_gguf(config, kGguf); }

}  // namespace

const Architecture& mistral_architecture() {
  static const Architecture instance = {
      .name = kName,
      .gguf = kGguf,
      .matches = matches,
      .read_config = read_config,
      .read_gguf = nullptr,
      .write_config = write_config,
      .write_gguf = write_gguf,
      .extra_gguf_tensors = decoder::extra_gguf_tensors,
      .is_plain = is_plain,
      .gguf_interleaved_rope = true,
      .names = decoder::kNames,
      .optional_prefix = decoder::kOptionalPrefix,
  };
  return instance;
}

}  // namespace pare
