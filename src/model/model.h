// A model is data: blocks are lists of stages, x ← skip·x + Σ branch(norm(x)), or with the norm elsewhere.
#pragma once

#include <span>
#include <variant>
#include <vector>

#include "model/config.h"
#include "model/roles.h"
#include "tensor/weight.h"

namespace pare {

// y = x·Wᵀ + b; weight (out, in), bias (out) or empty. An empty weight means: no such linear.
struct Linear {
  Weight weight;
  std::vector<float> bias;
};

struct Attention {
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;        // width of a head of queries or keys
  int64_t value_head_dim = 0;  // width of a head of values: o reads heads * value_head_dim
  Linear q, k, v, o;
  QueryKeyNorm norms = QueryKeyNorm::kNone;  // norms of queries and keys; weights fit a head or all heads
  Norm q_norm = {}, k_norm = {};
};

struct Mlp {
  ActivationFunction activation = ActivationFunction::kSilu;
  Linear gate;  // empty: down(act(up(x)))
  Linear up, down;
};

using Branch = std::variant<Attention, Mlp>;

struct Stage {
  Norm norm;
  std::vector<Branch> branches;  // empty: the stage only applies its skip
  Weight skip;                   // (width out, width in); empty: identity
  NormPlace norm_place = NormPlace::kInput;
};

struct Block {
  std::vector<Stage> stages;
};

// Canonical weights, as on disk (usually mapped). Copying is cheap: weights are shared and immutable.
struct Model {
  ModelConfig config;
  Weight embedding;            // (vocab, embedding_width)
  Weight embedding_transform;  // (stream width, embedding_width); empty: identity
  Weight positions;  // (position_offset + max_positions, stream width), added by position; empty: none
  std::vector<Block> blocks;
  Norm final_norm;
  Weight head_transform;         // (head width, output width); empty: identity
  Weight head;                   // (vocab, width); empty: tied to the embedding
  std::vector<float> head_bias;  // (vocab) or empty

  const Weight& head_weight() const { return head.empty() ? embedding : head; }
  // Returns the role of that weight: the embedding's where the head is tied.
  Role head_role() const { return head.empty() ? Role::kEmbedding : Role::kHead; }
};

// Size of a checkpoint: a tied head counts once, norms and biases count. A parameter is a stored value: of a
// matrix in an N:M pattern each kept value (it may be 0), of a dense one each value, its zeros too.
struct ModelSize {
  int64_t parameters = 0;
  int64_t bytes = 0;             // bytes as encoded now, masks and scales included
  int64_t block_parameters = 0;  // parameters of the linears and skips inside blocks
  int64_t dense_parameters = 0;  // parameters with all matrices dense
};
ModelSize model_size(const Model& model);

// Recomputes config's widths, bias flags and switches from the weights: called by passes after they edit a
// model.
void update_config(Model& model);

// Throws kNumeric naming the tensor that holds a NaN or an infinity.
void check_finite(const Model& model);
// Takes the pages of a stage's mapped weights out of memory until they are read again, and returns free heap
// memory to the system. Otherwise the little that a stage leaves behind keeps the next stage from reusing it,
// and the process grows.
void release_pages(const Stage& stage);

}  // namespace pare
