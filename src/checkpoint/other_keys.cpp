#include "checkpoint/other_keys.h"

#include <algorithm>
#include <span>

namespace pare {
namespace {

// Keys that a family (checkpoint/arch/) reads or writes, whichever it is: an output may be of another family.
constexpr std::string_view kOwn[] = {"architectures",
                                     "model_type",
                                     "pare",
                                     "vocab_size",
                                     "hidden_size",
                                     "word_embed_proj_dim",
                                     "intermediate_size",
                                     "ffn_dim",
                                     "num_hidden_layers",
                                     "num_attention_heads",
                                     "num_key_value_heads",
                                     "head_dim",
                                     "max_position_embeddings",
                                     "original_max_position_embeddings",
                                     "hidden_act",
                                     "activation_function",
                                     "rms_norm_eps",
                                     "layer_norm_eps",
                                     "layer_norm_elementwise_affine",
                                     "do_layer_norm_before",
                                     "_remove_final_layer_norm",
                                     "rope_theta",
                                     "rope_scaling",
                                     "rope_parameters",
                                     "partial_rotary_factor",
                                     "tie_word_embeddings",
                                     "bos_token_id",
                                     "eos_token_id",
                                     "attention_bias",
                                     "mlp_bias",
                                     "enable_bias",
                                     "qk_layernorm",
                                     "sliding_window",
                                     "use_sliding_window",
                                     "max_window_layers",
                                     "layer_types"};

// Keys that belong to the file that was read: how its weights are stored, whose code loads it, where it lay.
constexpr std::string_view kOfTheFile[] = {"quantization_config", "quantization", "compression_config",
                                           "torch_dtype",         "dtype",        "auto_map",
                                           "_name_or_path",       "_commit_hash"};

bool is_among(std::span<const std::string_view> keys, std::string_view key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

}  // namespace

bool is_own_config_key(std::string_view key) { return is_among(kOwn, key) || is_among(kOfTheFile, key); }

std::string other_keys_of(const Json& config) {
  Json others = Json::object();
  for (const auto& [key, value] : config.items())
    if (!is_own_config_key(key)) others[key] = value;
  return others.empty() ? std::string() : others.dump();
}

std::vector<GgufEntry> other_gguf_entries(const GgufMetadata& metadata) {
  std::vector<GgufEntry> others;
  for (const GgufEntry& entry : metadata.entries()) {
    const std::string_view key = entry.key;
    const bool of_the_file = key.starts_with("general.") || key.starts_with("split.") ||
                             key.starts_with("quantize.") || key.starts_with("pare.");
    if (!of_the_file && key.find(".rope.scal") == std::string_view::npos) others.push_back(entry);
  }
  return others;
}

void add_other_keys(const std::string& other_keys, Json& config) {
  if (other_keys.empty()) return;
  const Json others = parse_json(other_keys, "other keys of config.json");
  for (const auto& [key, value] : others.items()) config[key] = value;
}

}  // namespace pare
