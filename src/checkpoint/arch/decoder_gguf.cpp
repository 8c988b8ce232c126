// GGUF metadata of the families of LLaMA's kind.
#include <algorithm>

#include "checkpoint/arch/decoder.h"
#include "checkpoint/arch/gguf_keys.h"
#include "checkpoint/end_tokens.h"

namespace pare::decoder {
namespace {

// Reads heads, KV heads and the layers' parts. A layer of 0 heads has no attention, one of a hidden width
// of 0 no MLP; all others have as many heads.
void read_layers(const GgufFile& file, const GgufKeys& keys, int64_t layers, ModelConfig& config) {
  const int64_t hidden = config.embedding_width;
  const std::vector<int64_t> heads = keys.get_layers("attention.head_count", layers);
  const bool grouped = keys.has("attention.head_count_kv");
  const std::vector<int64_t> kv_heads = grouped ? keys.get_layers("attention.head_count_kv", layers) : heads;
  const std::vector<int64_t> widths = keys.get_layers("feed_forward_length", layers);
  const auto with_attention = std::find_if(heads.begin(), heads.end(), [](int64_t n) { return n != 0; });
  if (with_attention == heads.end())
    fail(ErrorCode::kFormat, "{}: {} is 0", file.name, keys.key("attention.head_count"));
  config.heads = *with_attention;
  config.kv_heads = kv_heads[static_cast<size_t>(with_attention - heads.begin())];
  config.head_dim = keys.get_int("attention.key_length", hidden / config.heads);
  const int64_t value_dim = keys.get_int("attention.value_length", config.head_dim);
  for (size_t i = 0; i < heads.size(); ++i) {
    const bool attention = heads[i] != 0;
    if (attention && kv_heads[i] == 0)
      fail(ErrorCode::kUnsupported, "{}: layer {} has a matrix in the place of its attention (no KV heads)",
           file.name, i);
    if (attention && (heads[i] != config.heads || kv_heads[i] != config.kv_heads))
      fail(ErrorCode::kUnsupported,
           "{}: layer {} has {} heads and {} KV heads, an earlier one {} and {}: a model whose layers differ "
           "in them is not supported",
           file.name, i, heads[i], kv_heads[i], config.heads, config.kv_heads);
    // llama.cpp leaves out the whole layer, the model's own code only the MLP.
    if (attention && widths[i] == 0)
      fail(ErrorCode::kUnsupported, "{}: layer {} has attention but no MLP, which is not supported",
           file.name, i);
    config.blocks.push_back({hidden, hidden, hidden, attention ? value_dim : 0, widths[i], false, false});
  }
}

// Reads which linears have biases: as in the first layer that has the linear.
BiasConfig read_biases(const GgufFile& file, const ModelConfig& config) {
  const auto first = [&](auto&& is_there) {
    return std::find_if(config.blocks.begin(), config.blocks.end(), is_there) - config.blocks.begin();
  };
  const auto attention = first([](const BlockShape& b) { return b.value_head_dim > 0; });
  const auto mlp = first([](const BlockShape& b) { return b.intermediate_size > 0; });
  const auto has = [&](std::ptrdiff_t layer, const char* linear) {
    return file.tensors.count(fmt::format("blk.{}.{}.bias", layer, linear)) != 0;
  };
  return {has(attention, "attn_q"),      has(attention, "attn_k"), has(attention, "attn_v"),
          has(attention, "attn_output"), has(mlp, "ffn_gate"),     has(mlp, "ffn_up"),
          has(mlp, "ffn_down")};
}

// Returns a number for all layers, or an array where they differ.
GgufValue of_layers(const ModelConfig& config, int64_t (*number)(const ModelConfig&, const BlockShape&)) {
  std::vector<uint32_t> numbers;
  for (const BlockShape& block : config.blocks)
    numbers.push_back(static_cast<uint32_t>(number(config, block)));
  if (std::all_of(numbers.begin(), numbers.end(), [&](uint32_t n) { return n == numbers.front(); }))
    return numbers.front();
  return GgufArray{std::move(numbers)};
}

}  // namespace

ModelConfig read_gguf(const GgufFile& file, std::string_view prefix, std::string_view architecture) {
  const GgufKeys keys(file, prefix);
  const GgufMetadata& metadata = file.metadata;
  ModelConfig config;
  config.architecture = architecture;
  if (keys.get_int("expert_count", 0) != 0)
    fail(ErrorCode::kUnsupported, "{}: mixture-of-experts models are not supported", file.name);
  const int64_t hidden = keys.get_int("embedding_length");
  const int64_t layers = keys.get_int("block_count");
  if (layers < 1 || layers > 4096)
    fail(ErrorCode::kFormat, "{}: {} is {}", file.name, keys.key("block_count"), layers);
  config.norm_width = hidden;
  config.embedding_width = hidden;
  read_layers(file, keys, layers, config);
  config.max_positions = keys.get_int("context_length");
  if (const int64_t window = keys.get_int("attention.sliding_window", 0); window > 0)
    limit_to_window(window, config);
  config.norm_eps = keys.get_number("attention.layer_norm_rms_epsilon");
  const auto embedding = file.tensors.find("token_embd.weight");
  if (embedding == file.tensors.end() || embedding->second.shape.size() != 2)
    fail(ErrorCode::kFormat, "{}: tensor token_embd.weight is missing or not a matrix", file.name);
  config.vocab_size = embedding->second.shape[0];
  config.tied = file.tensors.count("output.weight") == 0;
  config.bias = read_biases(file, config);
  config.rotary_dim = config.head_dim;
  if (config.head_dim > 0 && config.head_dim % 2 == 0) config.rope = read_rope(file, keys, config);
  if (const auto bos = metadata.find_u32("tokenizer.ggml.bos_token_id"))
    config.bos = static_cast<int32_t>(*bos);
  config.eos = gguf_ends(metadata);
  if (const auto pad = metadata.find_u32("tokenizer.ggml.padding_token_id"))
    config.other_keys = Json{{"pad_token_id", *pad}}.dump();
  validate(config);
  return config;
}

std::vector<GgufEntry> write_gguf(const ModelConfig& config, std::string_view prefix) {
  std::vector<GgufEntry> entries = {{"general.architecture", std::string(prefix)}};
  const auto add = [&](std::string_view name, GgufValue value) {
    entries.push_back({fmt::format("{}.{}", prefix, name), std::move(value)});
  };
  const auto add_int = [&](std::string_view name, int64_t value) { add(name, static_cast<uint32_t>(value)); };
  const auto add_number = [&](std::string_view name, double value) { add(name, static_cast<float>(value)); };
  add_int("block_count", static_cast<int64_t>(config.blocks.size()));
  add_int("context_length", config.max_positions);
  add_int("embedding_length", config.embedding_width);
  add("feed_forward_length",
      of_layers(config, [](const ModelConfig&, const BlockShape& b) { return b.intermediate_size; }));
  add("attention.head_count", of_layers(config, [](const ModelConfig& c, const BlockShape& b) {
        return b.value_head_dim > 0 ? c.heads : 0;
      }));
  add("attention.head_count_kv", of_layers(config, [](const ModelConfig& c, const BlockShape& b) {
        return b.value_head_dim > 0 ? c.kv_heads : 0;
      }));
  add_int("attention.key_length", config.head_dim);
  add_int("attention.value_length", config.head_dim);
  add_number("attention.layer_norm_rms_epsilon", config.norm_eps);
  add_int("rope.dimension_count", config.head_dim);
  add_number("rope.freq_base", config.rope.theta);
  add_int("vocab_size", config.vocab_size);
  write_rope(config, prefix, entries);
  return entries;
}

}  // namespace pare::decoder
