// Configuration of a model: read from config.json or GGUF metadata by checkpoint/arch/, validated once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tensor/operations.h"

namespace pare {

// Place of the norm of a stage: x ← skip·x + Σ branch(norm(x)), x ← skip·x + Σ norm(branch(x)) (OLMo-2),
// or x ← norm(skip·x + Σ branch(x)) (OPT-350m).
enum class NormPlace { kInput, kBranch, kSum };

// RMS norms of queries and keys before the rotary embedding: of every head alone (Qwen3), or of all heads
// together (OLMo-2).
enum class QueryKeyNorm { kNone, kHead, kWhole };

// Design of a block, the same for all blocks of a model.
struct BlockDesign {
  NormKind norm = NormKind::kRms;  // kind of all norms, the final one included
  ActivationFunction activation = ActivationFunction::kSilu;
  bool gated = true;      // the MLP computes down(act(gate(x))·up(x)); else down(act(up(x)))
  bool parallel = false;  // attention and MLP read one norm and make up one stage; else two stages
  NormPlace norm_place = NormPlace::kInput;
  QueryKeyNorm query_key_norm = QueryKeyNorm::kNone;

  bool operator==(const BlockDesign&) const = default;
};

// kDynamic changes nothing within max_positions, which is where its sequences end.
enum class RopeScaling { kNone, kLinear, kLlama3, kDivisors, kDynamic, kYarn, kLongrope };

// Rotary position embedding, "rotate half" layout.
struct RopeConfig {
  double theta = 10000.0;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;
  double low_freq_factor = 1.0;           // llama3 only
  double high_freq_factor = 4.0;          // llama3 only
  double original_max_position = 8192.0;  // llama3, yarn, longrope: tokens
  // kDivisors, kLongrope: divisor of the frequency of each pair, (rotary_dim / 2).
  std::vector<float> divisors = {};
  // kLongrope: divisors for sequences with room for more than original_max_position tokens.
  std::vector<float> long_divisors = {};
  double attention_factor = 1.0;  // yarn, longrope: factor of rotated queries and of rotated keys
  double beta_fast = 32.0;        // yarn: turns within original_max_position from which a pair is kept
  double beta_slow = 1.0;         // yarn: turns up to which its frequency is divided by `factor`
  bool truncate = true;           // yarn: the pairs with these turns are rounded to whole ones

  bool operator==(const RopeConfig&) const = default;
};

// Which linears carry a bias.
struct BiasConfig {
  bool q = false, k = false, v = false, o = false;
  bool gate = false, up = false, down = false;

  bool operator==(const BiasConfig&) const = default;
};

// Widths of one block. A dense model has the same everywhere; slicing makes them differ. In a parallel block
// nothing lies between the stages: attention_output_width is output_width, attention_skip that of the stage.
struct BlockShape {
  int64_t input_width = 0;             // residual stream entering the block
  int64_t attention_output_width = 0;  // residual stream between the stages
  int64_t output_width = 0;            // residual stream leaving the block
  int64_t value_head_dim = 0;          // values per KV head; 0: the block has no attention
  int64_t intermediate_size = 0;       // 0: the block has no MLP
  bool attention_skip = false;         // the residual passes a matrix beside the attention stage
  bool mlp_skip = false;

  bool operator==(const BlockShape&) const = default;
};

struct ModelConfig {
  std::string architecture;  // name in checkpoint/arch/
  int64_t vocab_size = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;           // width of a head of queries or keys
  int64_t rotary_dim = 0;         // first values of a head that are rotated; 0: no rotary embedding
  int64_t max_positions = 0;      // most tokens of a sequence
  int64_t sliding_window = 0;     // tokens back that attention sees; 0: all. max_positions never exceeds it
  int64_t trained_positions = 0;  // max_positions without the limit of the window; 0: the same
  int64_t norm_width = 0;         // divisor of every norm: the original hidden size, also after slicing
  double norm_eps = 1e-5;
  RopeConfig rope;
  BlockDesign design;
  BiasConfig bias;
  int64_t embedding_width = 0;
  bool embedding_transform = false;  // a matrix between the embedding and the residual stream
  // A learned vector is added for each position: a table of position_offset + max_positions rows.
  bool learned_positions = false;
  int64_t position_offset = 0;  // row of position 0
  std::vector<BlockShape> blocks;
  bool final_norm = true;
  bool head_transform = false;  // a matrix between the final norm and the head
  bool head_bias = false;
  bool tied = false;  // the head is the embedding matrix
  std::optional<int32_t> bos;
  std::vector<int32_t> eos;  // tokens that end a text; the first is the one written after a text
  // Keys of config.json that say nothing about what is computed or stored, as a JSON object; empty: none.
  std::string other_keys;

  // The width of the residual stream, where it enters and leaves the blocks.
  int64_t stream_width() const { return blocks.empty() ? embedding_width : blocks.front().input_width; }
  int64_t output_width() const { return blocks.empty() ? embedding_width : blocks.back().output_width; }
  // Columns of the head.
  int64_t head_width() const {
    return head_transform && (tied || embedding_transform) ? embedding_width : output_width();
  }
  // True if all blocks have equal shape and one residual width, and matrices stand between it and the
  // vocabulary at both ends or at neither: what a plain checkpoint of the family may express.
  bool is_uniform() const;
};

// Throws kFormat naming the field when sizes are out of range or contradict each other.
void validate(const ModelConfig& config);

}  // namespace pare
