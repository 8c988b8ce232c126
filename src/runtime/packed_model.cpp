#include "runtime/packed_model.h"

#include <algorithm>
#include <initializer_list>

namespace pare {
namespace {

// Packs linears that read the same input as one. Where only some have a bias, the others get zeros.
std::unique_ptr<PackedLinear> pack(const Backend& backend, std::initializer_list<const Linear*> linears,
                                   ComputeType compute) {
  std::vector<Weight> stack;
  std::vector<float> bias;
  for (const Linear* linear : linears) {
    stack.push_back(linear->weight);
    bias.insert(bias.end(), linear->bias.begin(), linear->bias.end());
    if (linear->bias.empty()) bias.resize(bias.size() + static_cast<size_t>(linear->weight.rows), 0.0f);
  }
  if (std::all_of(linears.begin(), linears.end(), [](const Linear* l) { return l->bias.empty(); }))
    bias.clear();
  return backend.pack_linear(stack, std::move(bias), compute);
}

std::unique_ptr<PackedLinear> pack(const Backend& backend, const Weight& weight, ComputeType compute) {
  return backend.pack_linear(std::span(&weight, 1), {}, compute);
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
        see(a->qkv);
        see(a->o);
      } else if (auto* m = std::get_if<PackedMlp>(&branch)) {
        see(m->gate_up);
        see(m->down);
      }
    }
  }
  see(model.head.transform);
  see(model.head.logits);
}

PackedAttention pack_attention(const Backend& backend, const Attention& a, ComputeType compute) {
  PackedAttention packed;
  packed.shape = {a.heads, a.kv_heads, a.head_dim, a.value_head_dim, compute};
  packed.qkv = pack(backend, {&a.q, &a.k, &a.v}, compute);
  packed.o = pack(backend, {&a.o}, compute);
  packed.norms = a.norms;
  if (a.norms == QueryKeyNorm::kNone) return packed;
  packed.q_norm = backend.pack_norm(a.q_norm);
  packed.k_norm = backend.pack_norm(a.k_norm);
  return packed;
}

PackedMlp pack_mlp(const Backend& backend, const Mlp& m, ComputeType compute) {
  const bool gated = !m.gate.weight.empty();
  return {m.activation, gated ? pack(backend, {&m.gate, &m.up}, compute) : pack(backend, {&m.up}, compute),
          pack(backend, {&m.down}, compute)};
}

}  // namespace

Activation applied(const PackedLinear& linear, const Activation& x) {
  Activation y = x.backend().allocate(x.rows(), linear.out_features());
  linear.apply(x, y);
  return y;
}

QueryKeyValue parts_of(const AttentionShape& shape, const Activation& qkv) {
  const int64_t keys = shape.queries_width();
  const int64_t values = keys + shape.keys_width();
  return {qkv.columns_of(0, keys), qkv.columns_of(keys, shape.keys_width()),
          qkv.columns_of(values, shape.values_width())};
}

PackedStage pack_stage(const Stage& stage, int64_t width_in, ComputeType compute, const Backend& backend) {
  PackedStage packed;
  packed.backend = &backend;
  packed.norm = backend.pack_norm(stage.norm);
  packed.norm_place = stage.norm_place;
  packed.width_in = width_in;
  packed.width_out = stage.skip.empty() ? width_in : stage.skip.rows;
  if (!stage.skip.empty()) packed.skip = pack(backend, stage.skip, compute);
  for (const Branch& branch : stage.branches) {
    if (const auto* a = std::get_if<Attention>(&branch))
      packed.branches.emplace_back(pack_attention(backend, *a, compute));
    else
      packed.branches.emplace_back(pack_mlp(backend, std::get<Mlp>(branch), compute));
  }
  return packed;
}

PackedEmbedding::PackedEmbedding(const Model& model, ComputeType compute, const Backend& on)
    : backend(&on), table(on.pack_rows(model.embedding)), position_offset(model.config.position_offset) {
  if (!model.embedding_transform.empty()) transform = pack(on, model.embedding_transform, compute);
  if (!model.positions.empty()) positions = on.pack_rows(model.positions);
}

PackedHead::PackedHead(const Model& model, ComputeType compute, const Backend& on)
    : backend(&on), norm(on.pack_norm(model.final_norm)) {
  if (!model.head_transform.empty()) transform = pack(on, model.head_transform, compute);
  logits = on.pack_linear(std::span(&model.head_weight(), 1), model.head_bias, compute);
}

PackedModel::PackedModel(const Model& model, ComputeType compute, const Backend& backend)
    : PackedModel(model, compute, std::vector<Placement>{{0, model.blocks.size(), &backend}}) {}

PackedModel::PackedModel(const Model& model, ComputeType compute, std::span<const Placement> placements)
    : config(model.config), hidden_width(model.head_weight().cols) {
  PARE_CHECK(!placements.empty());
  for (const Placement& placement : placements) {
    PARE_CHECK(behind == nullptr);
    if (placement.ranks) {
      behind = placement.ranks;
      continue;
    }
    const Backend& backend = *placement.backend;
    if (placement.begin == 0) embedding = PackedEmbedding(model, compute, backend);
    int64_t width =
        placement.begin == 0 ? embedding.width() : model.config.blocks[placement.begin - 1].output_width;
    for (size_t b = placement.begin; b < placement.end; ++b)
      for (const Stage& stage : model.blocks[b].stages) {
        stages.push_back(pack_stage(stage, width, compute, backend));
        width = stages.back().width_out;
      }
    if (placement.end == model.blocks.size()) head = PackedHead(model, compute, backend);
  }
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
  int64_t bytes = 0;
  for (const PackedLinear* linear : linears()) bytes += linear->bytes();
  return bytes;
}

}  // namespace pare
