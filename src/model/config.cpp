#include "model/config.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "base/error.h"

namespace pare {
namespace {

// Limit of widths, far above any real model and far below what would overflow a size.
constexpr int64_t kMaxWidth = int64_t{1} << 20;
constexpr int64_t kMaxVocab = int64_t{1} << 24;
constexpr int64_t kMaxBlocks = 4096;

void require_range(std::string_view field, int64_t value, int64_t low, int64_t high) {
  if (value < low || value > high)
    fail(ErrorCode::kFormat, "config: {} is {}, expected {}..{}", field, value, low, high);
}

void require_positive(std::string_view field, double value) {
  if (!(value > 0.0) || !std::isfinite(value))
    fail(ErrorCode::kFormat, "config: {} is {}, expected a positive number", field, value);
}

void validate_design(const ModelConfig& config) {
  const BlockDesign& design = config.design;
  constexpr std::string_view kActivations[] = {"silu", "relu", "gelu", "gelu_new"};
  PARE_CHECK(design.norm != NormKind::kNone);
  if (design.gated != (design.activation == ActivationFunction::kSilu))
    fail(ErrorCode::kUnsupported, "config: activation {} {} a gate is not supported",
         kActivations[static_cast<int>(design.activation)], design.gated ? "with" : "without");
  if (design.parallel && design.norm_place != NormPlace::kInput)
    fail(ErrorCode::kUnsupported, "config: norms behind the branches of a parallel block are not supported");
  for (const BlockShape& b : config.blocks) {
    if (design.parallel && b.mlp_skip)
      fail(ErrorCode::kFormat, "config: a parallel block has one skip matrix, not one of its MLP");
    // A layer norm subtracts the mean, which is another map in other bases.
    const bool plain = b.input_width == config.norm_width && b.attention_output_width == config.norm_width &&
                       b.output_width == config.norm_width && !b.attention_skip && !b.mlp_skip;
    if (design.norm == NormKind::kLayer && !plain)
      fail(ErrorCode::kFormat, "config: with layer norms the residual stream has one width and no skips");
  }
}

// There must be one divisor for each pair.
void validate_divisors(const std::vector<float>& divisors, int64_t rotary_dim) {
  if (static_cast<int64_t>(divisors.size()) != rotary_dim / 2)
    fail(ErrorCode::kFormat, "config: {} rope divisors for {} pairs", divisors.size(), rotary_dim / 2);
  for (const float divisor : divisors) require_positive("a rope divisor", divisor);
}

void validate_yarn(const RopeConfig& rope) {
  require_positive("rope original_max_position_embeddings", rope.original_max_position);
  require_positive("rope beta_slow", rope.beta_slow);
  require_positive("rope beta_fast", rope.beta_fast);
  if (!(rope.theta > 1.0))
    fail(ErrorCode::kFormat, "config: rope theta is {}, yarn scaling needs more than 1", rope.theta);
}

void validate_rope(const ModelConfig& config) {
  require_range("rotary dimensions", config.rotary_dim, 0, config.head_dim);
  if (config.rotary_dim % 2 != 0)
    fail(ErrorCode::kFormat, "config: rotary embedding of {} of head_dim {} values, expected an even number",
         config.rotary_dim, config.head_dim);
  require_positive("rope theta", config.rope.theta);
  require_positive("rope scaling factor", config.rope.factor);
  require_positive("rope attention_factor", config.rope.attention_factor);
  if (config.rope.scaling == RopeScaling::kLlama3) {
    require_positive("rope low_freq_factor", config.rope.low_freq_factor);
    require_positive("rope original_max_position_embeddings", config.rope.original_max_position);
    if (!(config.rope.high_freq_factor > config.rope.low_freq_factor))
      fail(ErrorCode::kFormat, "config: rope high_freq_factor {} must exceed low_freq_factor {}",
           config.rope.high_freq_factor, config.rope.low_freq_factor);
  }
  if (config.rope.scaling == RopeScaling::kYarn) validate_yarn(config.rope);
  if (config.rope.scaling == RopeScaling::kDivisors)
    validate_divisors(config.rope.divisors, config.rotary_dim);
  if (config.rope.scaling == RopeScaling::kLongrope) {
    require_positive("rope original_max_position_embeddings", config.rope.original_max_position);
    validate_divisors(config.rope.divisors, config.rotary_dim);
    validate_divisors(config.rope.long_divisors, config.rotary_dim);
  }
}

}  // namespace

bool ModelConfig::is_uniform() const {
  if (blocks.empty() || head_transform != embedding_transform) return false;
  const BlockShape& first = blocks.front();
  const bool one_width = first.attention_output_width == first.input_width &&
                         first.output_width == first.input_width &&
                         (embedding_transform || first.input_width == embedding_width);
  return one_width && first.value_head_dim == head_dim && first.intermediate_size > 0 &&
         !first.attention_skip && !first.mlp_skip &&
         std::all_of(blocks.begin(), blocks.end(), [&](const BlockShape& b) { return b == first; });
}

void validate(const ModelConfig& config) {
  require_range("vocabulary size", config.vocab_size, 1, kMaxVocab);
  require_range(config.embedding_transform ? "embedding width" : "hidden size", config.embedding_width, 1,
                kMaxWidth);
  require_range("norm width", config.norm_width, 1, kMaxWidth);
  require_range("number of layers", static_cast<int64_t>(config.blocks.size()), 1, kMaxBlocks);
  require_range("number of attention heads", config.heads, 1, 65536);
  require_range("number of KV heads", config.kv_heads, 1, config.heads);
  if (config.heads % config.kv_heads != 0)
    fail(ErrorCode::kFormat, "config: {} attention heads do not divide into {} KV heads", config.heads,
         config.kv_heads);
  require_range("head_dim", config.head_dim, 1, 65536);
  require_range("max_position_embeddings", config.max_positions, 1, int64_t{1} << 32);
  require_range("offset of the learned positions", config.position_offset, 0, kMaxWidth);
  require_positive("norm eps", config.norm_eps);
  validate_rope(config);
  int64_t width = config.embedding_transform ? config.stream_width() : config.embedding_width;
  for (size_t i = 0; i < config.blocks.size(); ++i) {
    const BlockShape& b = config.blocks[i];
    const auto field = [&](const char* name) { return fmt::format("layer {}: {}", i, name); };
    require_range(field("input width"), b.input_width, 1, kMaxWidth);
    require_range(field("attention output width"), b.attention_output_width, 1, kMaxWidth);
    require_range(field("output width"), b.output_width, 1, kMaxWidth);
    require_range(field("value_head_dim"), b.value_head_dim, 0, 65536);
    require_range(field("intermediate_size"), b.intermediate_size, 0, kMaxWidth * 16);
    if (b.input_width != width)
      fail(ErrorCode::kFormat, "config: layer {} reads a width of {}, but {} come in", i, b.input_width,
           width);
    if (!b.attention_skip && b.attention_output_width != b.input_width)
      fail(ErrorCode::kFormat, "config: layer {} changes the width {} to {} without a skip matrix", i,
           b.input_width, b.attention_output_width);
    if (!b.mlp_skip && b.output_width != b.attention_output_width)
      fail(ErrorCode::kFormat, "config: layer {} changes the width {} to {} without a skip matrix", i,
           b.attention_output_width, b.output_width);
    width = b.output_width;
  }
  validate_design(config);
  if (config.tied && config.embedding_transform && !config.head_transform)
    fail(ErrorCode::kFormat,
         "config: a matrix behind the embedding of a tied head needs one before the head");
  if (config.tied && !config.head_transform && width != config.embedding_width)
    fail(ErrorCode::kFormat, "config: a tied head reads a width of {}, but {} come in",
         config.embedding_width, width);
}

}  // namespace pare
