#include "model/model.h"

#include <malloc.h>

#include <cmath>

#include "model/visit.h"

namespace pare {
namespace {

std::string place_name(const TensorPlace& place) {
  const std::string part = fmt::format("{}{}", role_name(place.role), place.bias ? " bias" : "");
  return place.block < 0 ? part : fmt::format("layer {} {}", place.block, part);
}

}  // namespace

ModelSize model_size(const Model& model) {
  ModelSize size;
  for_each_tensor(
      model,
      [&](const TensorPlace& place, const Weight& weight) {
        size.parameters += weight.stored_values();
        size.dense_parameters += weight.values();
        size.bytes += weight.bytes();
        if (place.block >= 0) size.block_parameters += weight.stored_values();
      },
      [&](const TensorPlace&, const std::vector<float>& values) {
        size.parameters += static_cast<int64_t>(values.size());
        size.dense_parameters += static_cast<int64_t>(values.size());
        size.bytes += static_cast<int64_t>(values.size() * sizeof(float));
      });
  return size;
}

void update_config(Model& model) {
  ModelConfig& config = model.config;
  config.embedding_width = model.embedding.cols;
  config.tied = model.head.empty();
  config.head_bias = !model.head_bias.empty();
  config.learned_positions = !model.positions.empty();
  config.embedding_transform = !model.embedding_transform.empty();
  config.final_norm = model.final_norm.kind != NormKind::kNone;
  if (config.final_norm) config.design.norm = model.final_norm.kind;
  config.head_transform = !model.head_transform.empty();
  config.bias = {};
  int64_t width = config.embedding_transform ? model.embedding_transform.rows : config.embedding_width;
  for (size_t b = 0; b < model.blocks.size(); ++b) {
    const auto& stages = model.blocks[b].stages;
    config.design.parallel = stages.size() == 1;
    PARE_CHECK(stages.size() == 2 || config.design.parallel);
    const Weight& mlp_skip = stages.back().skip;
    BlockShape shape;
    shape.input_width = width;
    shape.attention_skip = !stages[0].skip.empty();
    shape.mlp_skip = !config.design.parallel && !mlp_skip.empty();
    shape.attention_output_width = shape.attention_skip ? stages[0].skip.rows : width;
    shape.output_width = shape.mlp_skip ? mlp_skip.rows : shape.attention_output_width;
    for (const Stage& stage : stages) {
      if (stage.branches.empty()) continue;
      PARE_CHECK(stage.norm.kind == config.design.norm && stage.norm_place == config.design.norm_place);
      for (const Branch& branch : stage.branches) {
        if (const auto* attention = std::get_if<Attention>(&branch)) {
          shape.value_head_dim = attention->value_head_dim;
          PARE_CHECK(attention->norms == config.design.query_key_norm);
          config.bias.q |= !attention->q.bias.empty();
          config.bias.k |= !attention->k.bias.empty();
          config.bias.v |= !attention->v.bias.empty();
          config.bias.o |= !attention->o.bias.empty();
        } else if (const auto* mlp = std::get_if<Mlp>(&branch)) {
          shape.intermediate_size = mlp->down.weight.cols;
          config.design.gated = !mlp->gate.weight.empty();
          config.design.activation = mlp->activation;
          config.bias.gate |= !mlp->gate.bias.empty();
          config.bias.up |= !mlp->up.bias.empty();
          config.bias.down |= !mlp->down.bias.empty();
        }
      }
    }
    config.blocks[b] = shape;
    width = shape.output_width;
  }
  validate(config);
}

void check_finite(const Model& model) {
  for_each_tensor(
      model,
      [](const TensorPlace& place, const Weight& weight) {
        const bool finite = all_finite(weight);
        release_pages(weight);
        if (!finite)
          fail(ErrorCode::kNumeric, "the weights of {} hold a NaN or an infinity", place_name(place));
      },
      [](const TensorPlace& place, const std::vector<float>& values) {
        for (const float v : values)
          if (!std::isfinite(v))
            fail(ErrorCode::kNumeric, "{} holds a NaN or an infinity", place_name(place));
      });
}

void release_pages(const Stage& stage) {
  release_pages(stage.skip);
  for_each_linear(stage, [](Role, const Linear& linear) { release_pages(linear.weight); });
  malloc_trim(0);
}

}  // namespace pare
