#include "support/tiny_model.h"

#include <cmath>

#include "base/rng.h"

namespace pare::test {
namespace {

std::vector<float> random_vector(int64_t n, double mean, double deviation, Rng& rng) {
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = static_cast<float>(mean + deviation * rng.normal());
  return values;
}

Weight random_weight(int64_t rows, int64_t cols, double deviation, Rng& rng) {
  Matrix<float> values(rows, cols);
  for (int64_t i = 0; i < values.size(); ++i) values.data()[i] = static_cast<float>(deviation * rng.normal());
  return Weight::from_matrix(std::as_const(values).view());
}

Linear random_linear(int64_t out, int64_t in, bool bias, Rng& rng) {
  Linear linear{random_weight(out, in, 1.0 / std::sqrt(static_cast<double>(in)), rng), {}};
  if (bias) linear.bias = random_vector(out, 0.0, 0.1, rng);
  return linear;
}

Norm random_norm(const ModelConfig& config, int64_t width, Rng& rng) {
  Norm norm{random_vector(width, 1.0, 0.1, rng), static_cast<double>(config.norm_width), config.norm_eps,
            config.design.norm};
  if (norm.kind == NormKind::kLayer) norm.bias = random_vector(width, 0.0, 0.1, rng);
  return norm;
}

// Of queries or keys.
Norm random_heads_norm(const TinyModelOptions& o, int64_t heads, Rng& rng) {
  const int64_t width = o.head_dim * (o.design.query_key_norm == QueryKeyNorm::kWhole ? heads : 1);
  return {random_vector(width, 1.0, 0.3, rng), static_cast<double>(width), ModelConfig().norm_eps};
}

Block random_block(const TinyModelOptions& o, const ModelConfig& config, Rng& rng) {
  const int64_t queries = o.heads * o.head_dim;
  const int64_t keys = o.kv_heads * o.head_dim;
  Attention attention{o.heads, o.kv_heads, o.head_dim, o.head_dim, {}, {}, {}, {}};
  attention.q = random_linear(queries, o.width, o.biases, rng);
  attention.k = random_linear(keys, o.width, o.biases, rng);
  attention.v = random_linear(keys, o.width, o.biases, rng);
  attention.o = random_linear(o.width, queries, o.biases, rng);
  attention.norms = o.design.query_key_norm;
  if (attention.norms != QueryKeyNorm::kNone) {
    attention.q_norm = random_heads_norm(o, o.heads, rng);
    attention.k_norm = random_heads_norm(o, o.kv_heads, rng);
  }
  Mlp mlp;
  mlp.activation = o.design.activation;
  if (o.design.gated) mlp.gate = random_linear(o.intermediate, o.width, o.biases, rng);
  mlp.up = random_linear(o.intermediate, o.width, o.biases, rng);
  mlp.down = random_linear(o.width, o.intermediate, o.biases, rng);
  Block block;
  if (o.design.parallel) {
    block.stages.push_back({random_norm(config, o.width, rng), {std::move(attention), std::move(mlp)}, {}});
    return block;
  }
  const NormPlace place = o.design.norm_place;
  block.stages.push_back({random_norm(config, o.width, rng), {std::move(attention)}, {}, place});
  block.stages.push_back({random_norm(config, o.width, rng), {std::move(mlp)}, {}, place});
  return block;
}

}  // namespace

TinyModelOptions opt_like() {
  TinyModelOptions o;
  o.architecture = "opt";
  o.kv_heads = o.heads;
  o.biases = true;
  o.design = {NormKind::kLayer, ActivationFunction::kRelu, false, false};
  o.rotary_dim = 0;
  o.learned_positions = true;
  return o;
}

TinyModelOptions phi_like() {
  TinyModelOptions o;
  o.architecture = "phi";
  o.kv_heads = o.heads;
  o.tied = false;
  o.biases = true;
  o.design = {NormKind::kLayer, ActivationFunction::kGeluTanh, false, true};
  o.rotary_dim = o.head_dim / 2;
  o.head_bias = true;
  return o;
}

TinyModelOptions qwen3_like() {
  TinyModelOptions o;
  o.architecture = "qwen3";
  o.head_dim = 12;
  o.design.query_key_norm = QueryKeyNorm::kHead;
  return o;
}

TinyModelOptions olmo2_like() {
  TinyModelOptions o;
  o.architecture = "olmo2";
  o.tied = false;
  o.design.norm_place = NormPlace::kBranch;
  o.design.query_key_norm = QueryKeyNorm::kWhole;
  return o;
}

TinyModelOptions post_norm_like() {
  TinyModelOptions o = opt_like();
  o.design.norm_place = NormPlace::kSum;
  o.embedding_width = 20;
  o.final_norm = false;
  return o;
}

std::vector<TinyModelOptions> every_design() {
  return {TinyModelOptions{}, TinyModelOptions{.biases = true},
          opt_like(),         phi_like(),
          qwen3_like(),       olmo2_like(),
          post_norm_like()};
}

Model make_tiny_model(const TinyModelOptions& o) {
  Rng rng(o.seed);
  Model model;
  ModelConfig& config = model.config;
  config.architecture = o.architecture;
  config.design = o.design;
  config.vocab_size = o.vocab;
  config.heads = o.heads;
  config.kv_heads = o.kv_heads;
  config.head_dim = o.head_dim;
  config.rotary_dim = o.rotary_dim < 0 ? o.head_dim : o.rotary_dim;
  config.max_positions = o.max_positions;
  config.norm_width = o.width;
  config.bos = 0;
  config.eos = {1};
  config.blocks.resize(static_cast<size_t>(o.layers));
  const double deviation = 2.0 / std::sqrt(static_cast<double>(o.width));
  const int64_t columns = o.embedding_width == 0 ? o.width : o.embedding_width;
  model.embedding = random_weight(o.vocab, columns, deviation, rng);
  for (int64_t b = 0; b < o.layers; ++b) model.blocks.push_back(random_block(o, config, rng));
  if (o.final_norm)
    model.final_norm = random_norm(config, o.width, rng);
  else
    model.final_norm.kind = NormKind::kNone;
  if (!o.tied) model.head = random_weight(o.vocab, columns, deviation, rng);
  if (columns != o.width) {
    model.embedding_transform =
        random_weight(o.width, columns, 1.0 / std::sqrt(static_cast<double>(columns)), rng);
    model.head_transform =
        random_weight(columns, o.width, 1.0 / std::sqrt(static_cast<double>(o.width)), rng);
  }
  if (o.learned_positions) {
    config.position_offset = 2;
    model.positions = random_weight(o.max_positions + config.position_offset, o.width, deviation, rng);
  }
  if (o.head_bias) model.head_bias = random_vector(o.vocab, 0.0, 0.1, rng);
  update_config(model);
  return model;
}

}  // namespace pare::test
