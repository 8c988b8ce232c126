// Gradients of a model's tensors, added up while a backward pass runs.
#pragma once

#include <span>

#include "runtime/backward.h"
#include "train/parameters.h"

namespace pare {

// Adds the gradients of the tensors of one stage, or of those outside stages, to an array of `layout`.
// Products are made in `compute`. Keeps references.
class GradientSums final : public GradientObserver {
 public:
  GradientSums(const Model& model, const Parameters& layout, std::span<float> gradient, ComputeType compute,
               const Backend& on)
      : model_(model), layout_(layout), gradient_(gradient), compute_(compute), on_(on) {}

  // Says which stage the next calls are of; without a call they are of the head and the embedding.
  void enter(size_t stage);

  void linears(std::span<const Role> roles, const Activation& x, const Activation& dy) override;
  void skip(const Activation& x, const Activation& dy) override;
  void norm(const PackedNorm& norm, const Activation& x, const Activation& dy) override;
  void query_key_norm(Role role, const PackedNorm& norm, const Activation& x, const Activation& dy,
                      int64_t width) override;
  // Rows of a table that was read (Backend::gather_adjoint).
  void rows(Role role, std::span<const int64_t> rows, const Activation& dy);

 private:
  const TrainedTensor& tensor(Role role) const;

  const Model& model_;
  const Parameters& layout_;
  std::span<float> gradient_;
  ComputeType compute_;
  const Backend& on_;
  int64_t block_ = -1;
  size_t index_ = 0;
};

}  // namespace pare
