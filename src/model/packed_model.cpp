#include "model/packed_model.h"

#include "kernels/vector_ops.h"

namespace pare {
namespace {

PackedAffine pack_affine(const Linear& linear, ComputeType compute) {
  return {pack_linear(linear.weight, compute), linear.bias};
}

int64_t affine_bytes(const PackedAffine& affine) {
  return affine.linear->bytes() + static_cast<int64_t>(affine.bias.size() * sizeof(float));
}

}  // namespace

void PackedAffine::apply(MatrixView<const float> x, MatrixView<float> y) const {
  linear->apply(x, y);
  if (bias.empty()) return;
  for (int64_t t = 0; t < y.rows; ++t) vector_ops().add(bias.data(), y.row(t), y.cols);
}

PackedStage pack_stage(const Stage& stage, int64_t width_in, ComputeType compute) {
  PackedStage packed;
  packed.norm = stage.norm;
  packed.width_in = width_in;
  packed.width_out = stage.skip.empty() ? width_in : stage.skip.rows;
  if (!stage.skip.empty()) packed.skip = pack_linear(stage.skip, compute);
  for (const Branch& branch : stage.branches) {
    if (const auto* a = std::get_if<Attention>(&branch)) {
      packed.branches.emplace_back(PackedAttention{a->heads, a->kv_heads, a->head_dim, a->value_head_dim,
                                                   pack_affine(a->q, compute), pack_affine(a->k, compute),
                                                   pack_affine(a->v, compute), pack_affine(a->o, compute)});
    } else {
      const Mlp& m = std::get<Mlp>(branch);
      packed.branches.emplace_back(
          PackedMlp{pack_affine(m.gate, compute), pack_affine(m.up, compute), pack_affine(m.down, compute)});
    }
  }
  return packed;
}

PackedModel::PackedModel(const Model& model, ComputeType compute)
    : config(model.config), embedding(model.embedding), final_norm(model.final_norm) {
  int64_t width = model.embedding.cols;
  for (const Block& block : model.blocks) {
    for (const Stage& stage : block.stages) {
      stages.push_back(pack_stage(stage, width, compute));
      width = stages.back().width_out;
    }
  }
  if (!model.head_transform.empty()) head_transform = pack_linear(model.head_transform, compute);
  head = pack_linear(model.head_weight(), compute);
}

int64_t PackedModel::bytes_per_token() const {
  int64_t bytes = head->bytes() + (head_transform ? head_transform->bytes() : 0);
  for (const PackedStage& stage : stages) {
    if (stage.skip) bytes += stage.skip->bytes();
    for (const auto& branch : stage.branches) {
      if (const auto* a = std::get_if<PackedAttention>(&branch))
        bytes += affine_bytes(a->q) + affine_bytes(a->k) + affine_bytes(a->v) + affine_bytes(a->o);
      else if (const auto* m = std::get_if<PackedMlp>(&branch))
        bytes += affine_bytes(m->gate) + affine_bytes(m->up) + affine_bytes(m->down);
    }
  }
  return bytes;
}

}  // namespace pare
