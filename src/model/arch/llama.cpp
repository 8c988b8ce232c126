// LLaMA family: names of its tensors, and its GGUF metadata.
#include <cmath>

#include "model/arch/architecture.h"
#include "model/arch/llama_config.h"
#include "model/rope.h"

namespace pare {
namespace {

constexpr RoleName kNames[] = {
    {Role::kEmbedding, "model.embed_tokens", "token_embd"},
    {Role::kAttentionNorm, "model.layers.{}.input_layernorm", "blk.{}.attn_norm"},
    {Role::kQuery, "model.layers.{}.self_attn.q_proj", "blk.{}.attn_q"},
    {Role::kKey, "model.layers.{}.self_attn.k_proj", "blk.{}.attn_k"},
    {Role::kValue, "model.layers.{}.self_attn.v_proj", "blk.{}.attn_v"},
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

constexpr const char* kRopeFactors = "rope_freqs.weight";

// GGUF keeps LLaMA-3's rope scaling as one divisor a pair; every such file uses the published parameters.
RopeConfig llama3_rope(double theta, double factor) {
  RopeConfig rope;
  rope.theta = theta;
  rope.scaling = RopeScaling::kLlama3;
  rope.factor = factor;
  return rope;
}

std::vector<float> rope_factors(const RopeConfig& rope, int64_t head_dim) {
  RopeConfig plain;
  plain.theta = rope.theta;
  const std::vector<double> base = rope_frequencies(plain, head_dim);
  const std::vector<double> scaled = rope_frequencies(rope, head_dim);
  std::vector<float> factors;
  for (size_t i = 0; i < base.size(); ++i) factors.push_back(static_cast<float>(base[i] / scaled[i]));
  return factors;
}

RopeConfig read_gguf_rope(const GgufFile& file, int64_t head_dim) {
  const GgufMetadata& metadata = file.metadata;
  RopeConfig rope;
  rope.theta = metadata.find_f32("llama.rope.freq_base").value_or(10000.0f);
  const auto dims = metadata.find_u32("llama.rope.dimension_count");
  if (dims && static_cast<int64_t>(*dims) != head_dim)
    fail(ErrorCode::kUnsupported, "{}: partial rotary embedding ({} of {}) is not supported", file.name,
         *dims, head_dim);
  const std::string* scaling = metadata.find_string("llama.rope.scaling.type");
  if (scaling != nullptr && *scaling == "linear") {
    rope.scaling = RopeScaling::kLinear;
    rope.factor = metadata.get_f32("llama.rope.scaling.factor");
  } else if (scaling != nullptr && *scaling != "none") {
    fail(ErrorCode::kUnsupported, "{}: rope scaling \"{}\" is not supported (only linear and llama3)",
         file.name, *scaling);
  }
  const auto factors = file.tensors.find(kRopeFactors);
  if (factors == file.tensors.end()) return rope;
  const std::vector<float> stored = as_vector(factors->second, head_dim / 2);
  const RopeConfig llama3 = llama3_rope(rope.theta, stored.back());
  const std::vector<float> expected = rope_factors(llama3, head_dim);
  for (size_t i = 0; i < stored.size(); ++i)
    if (!(std::abs(stored[i] - expected[i]) <= 1e-4f * std::abs(expected[i])))
      fail(ErrorCode::kUnsupported, "{}: {} is not LLaMA-3's scaling", file.name, kRopeFactors);
  return llama3;
}

ModelConfig read_gguf_config(const GgufFile& file) {
  const GgufMetadata& metadata = file.metadata;
  ModelConfig config;
  config.architecture = "llama";
  if (metadata.find_u32("llama.expert_count").value_or(0) != 0)
    fail(ErrorCode::kUnsupported, "{}: mixture-of-experts models are not supported", file.name);
  const int64_t hidden = metadata.get_u32("llama.embedding_length");
  const int64_t layers = metadata.get_u32("llama.block_count");
  if (layers < 1 || layers > 4096) fail(ErrorCode::kFormat, "{}: llama.block_count is {}", file.name, layers);
  config.heads = metadata.get_u32("llama.attention.head_count");
  if (config.heads < 1) fail(ErrorCode::kFormat, "{}: llama.attention.head_count is 0", file.name);
  config.kv_heads =
      metadata.find_u32("llama.attention.head_count_kv").value_or(static_cast<uint32_t>(config.heads));
  config.head_dim =
      metadata.find_u32("llama.attention.key_length").value_or(static_cast<uint32_t>(hidden / config.heads));
  const int64_t value_dim =
      metadata.find_u32("llama.attention.value_length").value_or(static_cast<uint32_t>(config.head_dim));
  config.max_positions = metadata.get_u32("llama.context_length");
  config.norm_eps = metadata.get_f32("llama.attention.layer_norm_rms_epsilon");
  config.norm_width = hidden;
  config.embedding_width = hidden;
  const BlockShape shape = {hidden, hidden, hidden, value_dim, metadata.get_u32("llama.feed_forward_length"),
                            false,  false};
  config.blocks.assign(static_cast<size_t>(layers), shape);
  const auto embedding = file.tensors.find("token_embd.weight");
  if (embedding == file.tensors.end() || embedding->second.shape.size() != 2)
    fail(ErrorCode::kFormat, "{}: tensor token_embd.weight is missing or not a matrix", file.name);
  config.vocab_size = embedding->second.shape[0];
  config.tied = file.tensors.count("output.weight") == 0;
  const auto has = [&](const char* tensor) { return file.tensors.count(tensor) != 0; };
  config.bias = {has("blk.0.attn_q.bias"),      has("blk.0.attn_k.bias"),   has("blk.0.attn_v.bias"),
                 has("blk.0.attn_output.bias"), has("blk.0.ffn_gate.bias"), has("blk.0.ffn_up.bias"),
                 has("blk.0.ffn_down.bias")};
  if (config.head_dim > 0 && config.head_dim % 2 == 0) config.rope = read_gguf_rope(file, config.head_dim);
  if (const auto bos = metadata.find_u32("tokenizer.ggml.bos_token_id"))
    config.bos = static_cast<int32_t>(*bos);
  if (const auto eos = metadata.find_u32("tokenizer.ggml.eos_token_id"))
    config.eos = {static_cast<int32_t>(*eos)};
  validate(config);
  return config;
}

std::vector<GgufEntry> write_gguf_config(const ModelConfig& config) {
  const auto u32 = [](int64_t value) { return GgufValue(static_cast<uint32_t>(value)); };
  const auto f32 = [](double value) { return GgufValue(static_cast<float>(value)); };
  const BlockShape& shape = config.blocks.front();
  std::vector<GgufEntry> entries = {
      {"general.architecture", std::string("llama")},
      {"llama.block_count", u32(static_cast<int64_t>(config.blocks.size()))},
      {"llama.context_length", u32(config.max_positions)},
      {"llama.embedding_length", u32(config.embedding_width)},
      {"llama.feed_forward_length", u32(shape.intermediate_size)},
      {"llama.attention.head_count", u32(config.heads)},
      {"llama.attention.head_count_kv", u32(config.kv_heads)},
      {"llama.attention.key_length", u32(config.head_dim)},
      {"llama.attention.value_length", u32(shape.value_head_dim)},
      {"llama.attention.layer_norm_rms_epsilon", f32(config.norm_eps)},
      {"llama.rope.dimension_count", u32(config.head_dim)},
      {"llama.rope.freq_base", f32(config.rope.theta)},
      {"llama.vocab_size", u32(config.vocab_size)},
  };
  if (config.rope.scaling == RopeScaling::kLinear) {
    entries.push_back({"llama.rope.scaling.type", std::string("linear")});
    entries.push_back({"llama.rope.scaling.factor", f32(config.rope.factor)});
  }
  return entries;
}

std::vector<std::pair<std::string, std::vector<float>>> extra_gguf_tensors(const ModelConfig& config) {
  if (config.rope.scaling != RopeScaling::kLlama3) return {};
  return {{kRopeFactors, rope_factors(config.rope, config.head_dim)}};
}

}  // namespace

const Architecture& llama_architecture() {
  static const Architecture instance = {"llama",
                                        llama_matches,
                                        read_llama_config,
                                        read_gguf_config,
                                        write_llama_config,
                                        write_gguf_config,
                                        extra_gguf_tensors,
                                        llama_is_plain,
                                        true,
                                        kNames};
  return instance;
}

}  // namespace pare
