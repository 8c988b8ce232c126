// A model ready to run: every linear packed by the backend that runs it.
#pragma once

#include <functional>
#include <memory>
#include <variant>
#include <vector>

#include "kernels/backend.h"
#include "model/model.h"

namespace pare {

// Returns what the linear makes of x, in an activation of its own.
Activation applied(const PackedLinear& linear, const Activation& x);

struct PackedAttention {
  AttentionShape shape;
  std::unique_ptr<PackedLinear> qkv;  // queries of all heads, then keys, then values
  std::unique_ptr<PackedLinear> o;
  QueryKeyNorm norms = QueryKeyNorm::kNone;
  std::unique_ptr<PackedNorm> q_norm, k_norm;  // null without norms

  // Returns how many neighbouring columns of queries or keys x are normalised together: a head, or all.
  int64_t norm_width(const Activation& x) const {
    return norms == QueryKeyNorm::kHead ? shape.head_dim : x.cols();
  }
};
// Queries, keys and values of rows: views of what q, k and v give side by side.
struct QueryKeyValue {
  Activation q, k, v;
};
QueryKeyValue parts_of(const AttentionShape& shape, const Activation& qkv);

struct PackedMlp {
  ActivationFunction activation = ActivationFunction::kSilu;
  std::unique_ptr<PackedLinear> gate_up;  // gates, then ups; only ups where the MLP has no gates
  std::unique_ptr<PackedLinear> down;
};

struct PackedStage {
  const Backend* backend = nullptr;  // backend that runs the stage
  std::unique_ptr<PackedNorm> norm;
  std::vector<std::variant<PackedAttention, PackedMlp>> branches;
  std::unique_ptr<PackedLinear> skip;  // null: identity
  int64_t width_in = 0;
  int64_t width_out = 0;
  NormPlace norm_place = NormPlace::kInput;
};

PackedStage pack_stage(const Stage& stage, int64_t width_in, ComputeType compute,
                       const Backend& backend = default_backend());

// Maps tokens to the residual stream that enters the first stage.
struct PackedEmbedding {
  const Backend* backend = nullptr;
  std::unique_ptr<RowTable> table;          // (vocab, embedding_width)
  std::unique_ptr<PackedLinear> transform;  // null: identity
  std::unique_ptr<RowTable> positions;      // (rows, width); null: none
  int64_t position_offset = 0;              // row of position 0

  PackedEmbedding() = default;
  PackedEmbedding(const Model& model, ComputeType compute, const Backend& on = default_backend());
  int64_t width() const { return transform ? transform->out_features() : table->cols(); }
  int64_t table_bytes() const { return table ? table->bytes() : 0; }
};

// Maps the output of the last stage to logits.
struct PackedHead {
  const Backend* backend = nullptr;
  std::unique_ptr<PackedNorm> norm;
  std::unique_ptr<PackedLinear> transform;  // null: identity
  std::unique_ptr<PackedLinear> logits;     // (vocab, hidden width)

  PackedHead() = default;
  PackedHead(const Model& model, ComputeType compute, const Backend& on = default_backend());
};

class Pipeline;

// Blocks [begin, end) of a model and where they run: on a backend of this process, or on the ranks behind
// this one. The embedding belongs to the first block, the head to the last.
struct Placement {
  size_t begin = 0;
  size_t end = 0;
  const Backend* backend = &default_backend();
  std::shared_ptr<Pipeline> ranks = {};  // not null: the ranks behind this one, and no backend
};

struct PackedModel {
  ModelConfig config;
  PackedEmbedding embedding;         // empty where the first block is on another rank
  std::vector<PackedStage> stages;   // stages of this process's blocks, in order
  PackedHead head;                   // empty where the last block is on another rank
  int64_t hidden_width = 0;          // width of the head's input
  std::shared_ptr<Pipeline> behind;  // ranks behind the stages; null: none

  // Packs the whole model for one backend.
  PackedModel(const Model& model, ComputeType compute, const Backend& backend = default_backend());
  // Packs the shares of `placements`, which follow on each other; only the last may be a pipeline.
  PackedModel(const Model& model, ComputeType compute, std::span<const Placement> placements);
  // Returns every linear, in the order in which a token meets them.
  std::vector<const PackedLinear*> linears() const;
  // Replaces every linear by what `wrapper` makes of it.
  using LinearWrapper = std::function<std::unique_ptr<PackedLinear>(std::unique_ptr<PackedLinear> linear)>;
  void wrap_linears(const LinearWrapper& wrapper);
  // Returns the bytes of weights read to produce one token.
  int64_t bytes_per_token() const;
};

}  // namespace pare
