// One walk over every tensor of a model: loading, saving, counting and checking all use it.
#pragma once

#include <type_traits>
#include <utility>

#include "model/model.h"

namespace pare {

// Calls visit(Role, Linear&) for the linears of one stage, without a gate that is not there. Works on const
// and mutable stages.
template <typename StageT, typename Visit>
void for_each_linear(StageT& stage, Visit&& visit) {
  for (auto& branch : stage.branches) {
    if (auto* attention = std::get_if<Attention>(&branch)) {
      visit(Role::kQuery, attention->q);
      visit(Role::kKey, attention->k);
      visit(Role::kValue, attention->v);
      visit(Role::kAttentionOutput, attention->o);
    } else if (auto* mlp = std::get_if<Mlp>(&branch)) {
      if (!mlp->gate.weight.empty()) visit(Role::kGate, mlp->gate);
      visit(Role::kUp, mlp->up);
      visit(Role::kDown, mlp->down);
    }
  }
}

// The linear of that role, of a Stage or a const Stage that has it.
template <typename StageT>
auto& linear_of(StageT& stage, Role role) {
  std::conditional_t<std::is_const_v<StageT>, const Linear, Linear>* found = nullptr;
  for_each_linear(stage, [&](Role r, auto& linear) {
    if (r == role) found = &linear;
  });
  PARE_CHECK(found != nullptr);
  return *found;
}

// Return whether a linear reads the normalised residual stream, and whether it writes the residual stream.
constexpr bool reads_residual(Role role) {
  return role == Role::kQuery || role == Role::kKey || role == Role::kValue || role == Role::kGate ||
         role == Role::kUp;
}
constexpr bool writes_residual(Role role) { return role == Role::kAttentionOutput || role == Role::kDown; }

// Roles of stage `index` of a block: stage 0 is attention, or all of a parallel block, stage 1 the MLP.
constexpr Role norm_role(size_t stage) { return stage == 0 ? Role::kAttentionNorm : Role::kMlpNorm; }
constexpr Role skip_role(size_t stage) { return stage == 0 ? Role::kAttentionSkip : Role::kMlpSkip; }

// A tensor's place in the model.
struct TensorPlace {
  Role role;
  int64_t block;  // −1 outside blocks
  bool bias;
};

// Calls matrix(TensorPlace, Weight&) and vector(TensorPlace, std::vector<float>&) for every tensor of the
// model.
template <typename ModelT, typename OnMatrix, typename OnVector>
void for_each_tensor(ModelT& model, OnMatrix&& matrix, OnVector&& vector) {
  const auto visit_norm = [&](Role role, int64_t block, auto& norm) {
    if (!norm.weight.empty()) vector(TensorPlace{role, block, false}, norm.weight);
    if (!norm.bias.empty()) vector(TensorPlace{role, block, true}, norm.bias);
  };
  const auto visit_weight = [&](Role role, int64_t block, auto& weight) {
    if (!weight.empty()) matrix(TensorPlace{role, block, false}, weight);
  };
  visit_weight(Role::kEmbedding, -1, model.embedding);
  visit_weight(Role::kEmbeddingTransform, -1, model.embedding_transform);
  visit_weight(Role::kPositions, -1, model.positions);
  for (size_t b = 0; b < model.blocks.size(); ++b) {
    const auto block = static_cast<int64_t>(b);
    for (size_t s = 0; s < model.blocks[b].stages.size(); ++s) {
      auto& stage = model.blocks[b].stages[s];
      visit_norm(norm_role(s), block, stage.norm);
      for_each_linear(stage, [&](Role role, auto& linear) {
        visit_weight(role, block, linear.weight);
        if (!linear.bias.empty()) vector(TensorPlace{role, block, true}, linear.bias);
      });
      for (auto& branch : stage.branches) {
        auto* attention = std::get_if<Attention>(&branch);
        if (attention == nullptr) continue;
        visit_norm(Role::kQueryNorm, block, attention->q_norm);
        visit_norm(Role::kKeyNorm, block, attention->k_norm);
      }
      visit_weight(skip_role(s), block, stage.skip);
    }
  }
  visit_norm(Role::kFinalNorm, -1, model.final_norm);
  visit_weight(Role::kHeadTransform, -1, model.head_transform);
  visit_weight(Role::kHead, -1, model.head);
  if (!model.head_bias.empty()) vector(TensorPlace{Role::kHead, -1, true}, model.head_bias);
}

}  // namespace pare
