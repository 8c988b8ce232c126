// A model whose blocks are spread over ranks, in order, so that none of them holds all of it. The first rank
// drives: it embeds, runs its blocks and receives the output of the last rank.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/comm.h"
#include "runtime/packed_model.h"
#include "tensor/matrix.h"

namespace pare {

// Contiguous shares of the blocks, one a rank, at least one block each: the one of most bytes, the head
// counted to the last, has as few as can be. Throws kUsage when there are more ranks than blocks.
std::vector<Placement> split_blocks(const Model& model, int ranks);

// Returns a model with the tensors that a rank with this share needs; the others are empty.
Model part_of(const Model& model, const Placement& share);

// Tokens that are appended to a sequence: `id` names its caches on other ranks.
struct RemoteStep {
  int64_t id = 0;
  int64_t capacity = 0;
  int64_t first = 0;  // tokens that the caches hold
  int64_t tokens = 0;
};

// Keys and values of a sequence on other ranks. They are dropped with this object.
class RemoteCache {
 public:
  explicit RemoteCache(std::shared_ptr<Pipeline> pipeline);
  ~RemoteCache();
  RemoteCache(const RemoteCache&) = delete;
  RemoteCache& operator=(const RemoteCache&) = delete;
  int64_t id() const { return id_; }

 private:
  std::shared_ptr<Pipeline> pipeline_;
  int64_t id_;
};

// Runs the blocks that stand behind the first rank's own, for that rank.
class Pipeline {
 public:
  // Keeps a reference to `comm`. `model`: index among the models that serve_stages() was given.
  Pipeline(Comm& comm, int64_t model, int64_t hidden_width, int64_t vocab);

  // Returns final normalised hidden states of rows x (rows, width) that this rank's blocks hand on, as
  // forward_batch() returns them, (rows, hidden width).
  Matrix<float> forward(std::span<const RemoteStep> steps, const Matrix<float>& x);
  // Returns the logits (rows, vocab) of hidden states.
  Matrix<float> logits(MatrixView<const float> hidden);

  int64_t open_cache() { return next_cache_++; }
  void close_cache(int64_t id) { closed_.push_back(id); }  // other ranks learn of it with the next forward()

 private:
  Comm& comm_;
  int64_t model_;
  int64_t hidden_width_;
  int64_t vocab_;
  int64_t next_cache_ = 0;
  std::vector<int64_t> closed_;
};

// Runs a rank's shares of the models for the first rank until that rank ends it.
void serve_stages(Comm& comm, std::span<const PackedModel* const> models);

// Ends serve_stages() on the other ranks.
class PipelineSession {
 public:
  explicit PipelineSession(Comm& comm) : comm_(comm) {}
  ~PipelineSession();
  PipelineSession(const PipelineSession&) = delete;
  PipelineSession& operator=(const PipelineSession&) = delete;

 private:
  Comm& comm_;
};

}  // namespace pare
