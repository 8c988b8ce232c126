#include "runtime/packed_model.h"

#include <algorithm>
#include <initializer_list>

#include "kernels/cpu/vector_ops.h"

namespace pare {
namespace {

// Linears that read the same input become one. Where only some have a bias, the others get zeros.
PackedAffine pack_affine(std::initializer_list<const Linear*> linears, ComputeType compute) {
  std::vector<Weight> stack;
  std::vector<float> bias;
  for (const Linear* linear : linears) {
    stack.push_back(linear->weight);
    bias.insert(bias.end(), linear->bias.begin(), linear->bias.end());
    if (linear->bias.empty()) bias.resize(bias.size() + static_cast<size_t>(linear->weight.rows), 0.0f);
  }
  if (std::all_of(linears.begin(), linears.end(), [](const Linear* l) { return l->bias.empty(); }))
    bias.clear();
  return {pack_linear(stack, compute), std::move(bias)};
}

// Calls visit with every pointer to a linear that is there, in the order in which a token meets them.
template <typename ModelT, typename Visit>
void for_each_packed(ModelT& model, Visit&& visit) {
  const auto see = [&](auto& linear) {
    if (linear) visit(linear);
  };
  see(model.embedding.transform);
  for (auto& stage : model.stages) {
    see(stage.skip);
    for (auto& branch : stage.branches) {
      if (auto* a = std::get_if<PackedAttention>(&branch)) {
        see(a->qkv.linear);
        see(a->o.linear);
      } else if (auto* m = std::get_if<PackedMlp>(&branch)) {
        see(m->gate_up.linear);
        see(m->down.linear);
      }
    }
  }
  see(model.head.transform);
  see(model.head.logits.linear);
}

}  // namespace

void add_bias(const std::vector<float>& bias, MatrixView<float> y) {
  if (bias.empty()) return;
  for (int64_t t = 0; t < y.rows; ++t) vector_ops().add(bias.data(), y.row(t), y.cols);
}

void PackedAffine::apply(MatrixView<const float> x, MatrixView<float> y) const {
  linear->apply(x, y);
  add_bias(bias, y);
}

PackedStage pack_stage(const Stage& stage, int64_t width_in, ComputeType compute) {
  PackedStage packed;
  packed.norm = stage.norm;
  packed.norm_place = stage.norm_place;
  packed.width_in = width_in;
  packed.width_out = stage.skip.empty() ? width_in : stage.skip.rows;
  if (!stage.skip.empty()) packed.skip = pack_linear(stage.skip, compute);
  for (const Branch& branch : stage.branches) {
    if (const auto* a = std::get_if<Attention>(&branch)) {
      packed.branches.emplace_back(PackedAttention{a->heads, a->kv_heads, a->head_dim, a->value_head_dim,
                                                   compute, pack_affine({&a->q, &a->k, &a->v}, compute),
                                                   pack_affine({&a->o}, compute), a->norms, a->q_norm,
                                                   a->k_norm});
    } else {
      const Mlp& m = std::get<Mlp>(branch);
      const bool gated = !m.gate.weight.empty();
      packed.branches.emplace_back(PackedMlp{
          m.activation, gated, gated ? pack_affine({&m.gate, &m.up}, compute) : pack_affine({&m.up}, compute),
          pack_affine({&m.down}, compute)});
    }
  }
  return packed;
}

PackedEmbedding::PackedEmbedding(const Model& model, ComputeType compute)
    : table(model.embedding), positions(model.positions), position_offset(model.config.position_offset) {
  if (!model.embedding_transform.empty()) transform = pack_linear(model.embedding_transform, compute);
}

PackedHead::PackedHead(const Model& model, ComputeType compute)
    : norm(model.final_norm), logits{pack_linear(model.head_weight(), compute), model.head_bias} {
  if (!model.head_transform.empty()) transform = pack_linear(model.head_transform, compute);
}

PackedModel::PackedModel(const Model& model, ComputeType compute)
    : PackedModel(model, compute, {0, model.blocks.size()}, nullptr) {}

PackedModel::PackedModel(const Model& model, ComputeType compute, const ModelShare& share,
                         std::shared_ptr<Pipeline> pipeline)
    : config(model.config),
      embedding(model, compute),
      hidden_width(model.head_weight().cols),
      rest(std::move(pipeline)) {
  int64_t width = share.begin == 0 ? embedding.width() : model.config.blocks[share.begin - 1].output_width;
  for (size_t b = share.begin; b < share.end; ++b)
    for (const Stage& stage : model.blocks[b].stages) {
      stages.push_back(pack_stage(stage, width, compute));
      width = stages.back().width_out;
    }
  if (share.begin > 0) embedding = {};
  if (share.end < model.blocks.size()) return;
  head = PackedHead(model, compute);
}

std::vector<const PackedLinear*> PackedModel::linears() const {
  std::vector<const PackedLinear*> all;
  for_each_packed(*this, [&](const std::unique_ptr<PackedLinear>& linear) { all.push_back(linear.get()); });
  return all;
}

void PackedModel::wrap_linears(const LinearWrapper& wrapper) {
  for_each_packed(*this, [&](std::unique_ptr<PackedLinear>& linear) { linear = wrapper(std::move(linear)); });
}

int64_t PackedModel::bytes_per_token() const {
  size_t biases = head.logits.bias.size();
  for (const PackedStage& stage : stages)
    for (const auto& branch : stage.branches) {
      if (const auto* a = std::get_if<PackedAttention>(&branch))
        biases += a->qkv.bias.size() + a->o.bias.size();
      else if (const auto* m = std::get_if<PackedMlp>(&branch))
        biases += m->gate_up.bias.size() + m->down.bias.size();
    }
  auto bytes = static_cast<int64_t>(biases * sizeof(float));
  for (const PackedLinear* linear : linears()) bytes += linear->bytes();
  return bytes;
}

}  // namespace pare
