// llama.cpp's `deci` (DeciLM, Nemotron-NAS): LLaMA whose layers have hidden widths of their own, and may lack
// attention or MLP. Only GGUF files are called so; in pare such a model is a LLaMA model.
#include <algorithm>

#include "checkpoint/arch/decoder.h"

namespace pare {
namespace {

constexpr const char* kName = "deci";
constexpr const char* kFamily = "llama";

bool matches(const Json&) { return false; }

// Returns whether values are as wide as keys, which llama.cpp requires (llm_build_deci), and every layer with
// attention has an MLP: without one, llama.cpp leaves the layer out.
bool is_plain(const ModelConfig& config) {
  const int64_t width = config.embedding_width;
  const auto fits = [&](const BlockShape& b) {
    const bool one_width =
        b.input_width == width && b.attention_output_width == width && b.output_width == width;
    const bool attention = b.value_head_dim == config.head_dim && b.intermediate_size > 0;
    return one_width && !b.attention_skip && !b.mlp_skip && (attention || b.value_head_dim == 0);
  };
  return std::all_of(config.blocks.begin(), config.blocks.end(), fits) && config.norm_width == width &&
         config.design == BlockDesign() && config.rotary_dim == config.head_dim && config.final_norm &&
         !config.learned_positions && !config.head_bias && !config.embedding_transform &&
         !config.head_transform;
}

ModelConfig read_gguf(const GgufFile& file) { return decoder::read_gguf(file, kName, kFamily); }
std::vector<GgufEntry> write_gguf(const ModelConfig& config) { return decoder::write_gguf(config, kName); }

}  // namespace

const Architecture& deci_architecture() {
  static const Architecture instance = {
      .name = kName,
      .gguf = kName,
      .matches = matches,
      .read_config = nullptr,
      .read_gguf = read_gguf,
      .write_config = nullptr,
      .write_gguf = write_gguf,
      .extra_gguf_tensors = decoder::extra_gguf_tensors,
      .is_plain = is_plain,
      .gguf_interleaved_rope = true,
      .names = decoder::kNames,
  };
  return instance;
}

}  // namespace pare
