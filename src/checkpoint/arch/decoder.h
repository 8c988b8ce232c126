// Common parts of the families of LLaMA's kind: keys of config.json, GGUF metadata, tensor names. They
// differ in their defaults, biases and a few keys, which stand in the file of each.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "checkpoint/arch/architecture.h"

namespace pare::decoder {

inline constexpr RoleName kNames[] = {
    {Role::kEmbedding, "model.embed_tokens", "token_embd"},
    {Role::kEmbeddingTransform, "model.embedding_transform", ""},
    {Role::kPositions, "model.embed_positions", ""},
    {Role::kAttentionNorm, "model.layers.{}.input_layernorm", "blk.{}.attn_norm"},
    {Role::kQuery, "model.layers.{}.self_attn.q_proj", "blk.{}.attn_q"},
    {Role::kKey, "model.layers.{}.self_attn.k_proj", "blk.{}.attn_k"},
    {Role::kValue, "model.layers.{}.self_attn.v_proj", "blk.{}.attn_v"},
    {Role::kQueryNorm, "model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"},
    {Role::kKeyNorm, "model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"},
    {Role::kAttentionOutput, "model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"},
    {Role::kAttentionSkip, "model.layers.{}.attention_skip", ""},
    {Role::kMlpNorm, "model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"},
    {Role::kGate, "model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate"},
    {Role::kUp, "model.layers.{}.mlp.up_proj", "blk.{}.ffn_up"},
    {Role::kDown, "model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"},
    {Role::kMlpSkip, "model.layers.{}.mlp_skip", ""},
    {Role::kFinalNorm, "model.norm", "output_norm"},
    {Role::kHeadTransform, "model.head_transform", ""},
    {Role::kHead, "lm_head", "output"},
};

class GgufKeys;

// Prefix that models saved without their head, and some older ones, leave out of all names.
inline constexpr std::string_view kOptionalPrefix = "model.";

// Returns "num_key_value_heads" of a config.json: `absent` where there is none, `heads` where it is null.
int64_t kv_heads_of(const Json& json, int64_t heads, int64_t absent);

// Defaults of a family for keys that its config.json lacks.
struct Defaults {
  int64_t max_positions = 2048;
  int64_t kv_heads = 0;  // 0: as many as heads
  int64_t head_dim = 0;  // 0: hidden size / heads
  double norm_eps = 1e-6;
};

// Returns whether a config is of this kind, by "model_type", else by the class in "architectures".
bool is_kind(const Json& config, std::string_view model_type, std::string_view class_name);

// Reads "num_hidden_layers", within sane bounds.
int64_t layer_count(const Json& json);
// Reads "silu", "relu", "gelu", "gelu_new" and the like under `key`; `fallback` when it is missing.
ActivationFunction read_activation(const Json& json, const char* key, const char* fallback);
std::string_view activation_name(ActivationFunction activation);
// Reads theta and scaling of a model of `max_positions`; `rotary_share` becomes "partial_rotary_factor" where
// there is one.
RopeConfig read_rope(const Json& json, int64_t max_positions, double& rotary_share);
void write_rope(const ModelConfig& config, Json& json);
// Reads "vocab_size", "tie_word_embeddings" (`tied` when missing), "bos_token_id" and "eos_token_id".
void read_vocabulary(const Json& json, bool tied, ModelConfig& config);
void write_vocabulary(const ModelConfig& config, Json& json);

// Reads everything but biases, the shapes of the blocks and whether the MLP has a gate.
ModelConfig read_config(const Json& json, std::string_view architecture, const Defaults& defaults);
// Gives all blocks the sizes "hidden_size" and "intermediate_size".
void read_dense_blocks(const Json& json, ModelConfig& config);
// Limits sequences to the "sliding_window" tokens that a query sees: pare computes full attention, so they
// must end there, which is logged.
void limit_to_window(int64_t window, ModelConfig& config);
// Calls limit_to_window where "use_sliding_window" gives some layers a window: the limit is right for all.
void limit_to_optional_window(const Json& json, ModelConfig& config);
// Returns biases on all linears of attention, or on none.
constexpr BiasConfig attention_bias(bool there) { return {there, there, there, there, false, false, false}; }
// Writes the keys of read_config and read_dense_blocks.
Json write_config(const ModelConfig& config, std::string_view model_type, std::string_view class_name);

// Reads GGUF metadata with keys "PREFIX.*"; `architecture` becomes the config's. Biases are those that the
// file has.
ModelConfig read_gguf(const GgufFile& file, std::string_view prefix, std::string_view architecture);
std::vector<GgufEntry> write_gguf(const ModelConfig& config, std::string_view prefix);
// Theta and scaling of a model whose head_dim is known, and the metadata that they add.
RopeConfig read_rope(const GgufFile& file, const GgufKeys& keys, const ModelConfig& config);
void write_rope(const ModelConfig& config, std::string_view prefix, std::vector<GgufEntry>& entries);
// Returns the rotary embedding's divisors where metadata cannot express its scaling.
std::vector<std::pair<std::string, std::vector<float>>> extra_gguf_tensors(const ModelConfig& config);

// Returns whether all blocks have one shape, norms of its width and values as wide as keys.
bool has_plain_shape(const ModelConfig& config);
// Returns whether a model has a plain shape, and blocks of LLaMA's or of `design`: what remains are biases.
bool is_plain_decoder(const ModelConfig& config, const BlockDesign& design = {});
// Throws when the model has a bias: llama.cpp has none in some families.
void require_no_biases(const ModelConfig& config);

}  // namespace pare::decoder
