#include "train/gradient_sums.h"

namespace pare {

void GradientSums::enter(size_t stage) {
  const size_t per_block = model_.blocks.front().stages.size();
  block_ = static_cast<int64_t>(stage / per_block);
  index_ = stage % per_block;
}

const TrainedTensor& GradientSums::tensor(Role role) const {
  const bool tied = role == Role::kHead && !layout_.has(role, block_);
  return layout_.at(tied ? Role::kEmbedding : role, block_);
}

void GradientSums::linears(std::span<const Role> roles, const Activation& x, const Activation& dy) {
  const TrainedTensor& first = tensor(roles.front());
  // Tensors of one input lie behind one another.
  int64_t rows = 0;
  for (const Role role : roles) {
    const TrainedTensor& own = tensor(role);
    PARE_CHECK(own.offset == first.offset + rows * first.cols && own.cols == first.cols);
    if (layout_.has(role, block_, true))
      on_.bias_adjoint(dy.columns_of(rows, own.rows), part_in(gradient_, layout_.at(role, block_, true)));
    rows += own.rows;
  }
  float* data = gradient_.data() + first.offset;
  on_.weight_adjoint(x, dy, compute_, {data, rows, first.cols, first.cols});
}

void GradientSums::skip(const Activation& x, const Activation& dy) {
  const Role role = skip_role(index_);
  linears(std::span(&role, 1), x, dy);
}

void GradientSums::norm(const PackedNorm& norm, const Activation& x, const Activation& dy) {
  query_key_norm(block_ < 0 ? Role::kFinalNorm : norm_role(index_), norm, x, dy, x.cols());
}

void GradientSums::query_key_norm(Role role, const PackedNorm& norm, const Activation& x,
                                  const Activation& dy, int64_t width) {
  const auto part = [&](bool bias) {
    return layout_.has(role, block_, bias) ? part_in(gradient_, layout_.at(role, block_, bias))
                                           : std::span<float>();
  };
  on_.norm_weight_adjoint(norm, x, dy, width, part(false), part(true));
}

void GradientSums::rows(Role role, std::span<const int64_t> rows, const Activation& dy) {
  on_.gather_adjoint(rows, dy, matrix_in(gradient_, tensor(role)));
}

}  // namespace pare
