// A model ready to run: every linear packed for this machine.
#pragma once

#include <functional>
#include <memory>
#include <variant>
#include <vector>

#include "kernels/linear.h"
#include "model/model.h"

namespace pare {

// Adds the first y.cols values of a bias to every row of y; nothing when the bias is empty.
void add_bias(const std::vector<float>& bias, MatrixView<float> y);

struct PackedAffine {
  std::unique_ptr<PackedLinear> linear;
  std::vector<float> bias;  // (out) or empty

  // y (tokens, out) = x (tokens, in)·Wᵀ + b
  void apply(MatrixView<const float> x, MatrixView<float> y) const;
};

struct PackedAttention {
  int64_t heads = 0, kv_heads = 0, head_dim = 0, value_head_dim = 0;
  ComputeType compute = ComputeType::kF32;  // of scores and values
  PackedAffine qkv;                         // queries of all heads, then keys, then values
  PackedAffine o;
  QueryKeyNorm norms = QueryKeyNorm::kNone;
  Norm q_norm = {}, k_norm = {};
};
struct PackedMlp {
  Activation activation = Activation::kSilu;
  bool gated = true;
  PackedAffine gate_up;  // gates, then ups; only ups when not gated
  PackedAffine down;
};

struct PackedStage {
  Norm norm;
  std::vector<std::variant<PackedAttention, PackedMlp>> branches;
  std::unique_ptr<PackedLinear> skip;  // null: identity
  int64_t width_in = 0;
  int64_t width_out = 0;
  NormPlace norm_place = NormPlace::kInput;
};

PackedStage pack_stage(const Stage& stage, int64_t width_in, ComputeType compute);

// What makes tokens the residual stream that enters the first stage. Tables are read row by row from their
// canonical weights.
struct PackedEmbedding {
  Weight table;                             // (vocab, embedding_width)
  std::unique_ptr<PackedLinear> transform;  // null: identity
  Weight positions;                         // (rows, width); empty: none
  int64_t position_offset = 0;              // row of position 0

  PackedEmbedding() = default;
  PackedEmbedding(const Model& model, ComputeType compute);
  int64_t width() const { return transform ? transform->out_features() : table.cols; }
};

// What makes the output of the last stage logits.
struct PackedHead {
  Norm norm;
  std::unique_ptr<PackedLinear> transform;  // null: identity
  PackedAffine logits;                      // (vocab, hidden width)

  PackedHead() = default;
  PackedHead(const Model& model, ComputeType compute);
};

// Blocks [begin, end) of a model, and what stands behind the last block.
struct ModelShare {
  size_t begin = 0;
  size_t end = 0;
};

class Pipeline;

struct PackedModel {
  ModelConfig config;
  PackedEmbedding embedding;        // empty where the share does not begin with the first block
  std::vector<PackedStage> stages;  // of the blocks of its share (all, as a rule), in order
  PackedHead head;                  // empty where the share does not reach to the end
  int64_t hidden_width = 0;         // what the head reads
  std::shared_ptr<Pipeline> rest;   // on other ranks, behind the stages; null: nothing

  PackedModel(const Model& model, ComputeType compute);
  PackedModel(const Model& model, ComputeType compute, const ModelShare& share,
              std::shared_ptr<Pipeline> pipeline);
  // Every linear, in the order in which a token meets them.
  std::vector<const PackedLinear*> linears() const;
  // Puts what `wrapper` makes of each in its place.
  using LinearWrapper = std::function<std::unique_ptr<PackedLinear>(std::unique_ptr<PackedLinear> linear)>;
  void wrap_linears(const LinearWrapper& wrapper);
  // Bytes of weights read to produce one token.
  int64_t bytes_per_token() const;
};

}  // namespace pare
