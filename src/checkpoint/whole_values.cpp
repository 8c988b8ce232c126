#include "checkpoint/whole_values.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <variant>

#include "base/log.h"
#include "checkpoint/arch/architecture.h"

namespace pare {
namespace {

Encoding scalar_encoding(Encoding encoding) { return is_float(encoding) ? encoding : Encoding::kBF16; }

// Returns the rows of every head, `from` of them, followed by zeros up to `to`.
Weight with_more_rows(const Weight& weight, int64_t heads, int64_t from, int64_t to) {
  const Matrix<float> old = decode(weight);
  Matrix<float> values = Matrix<float>::zeros(heads * to, weight.cols);
  for (int64_t h = 0; h < heads; ++h) std::copy_n(old.row(h * from), from * weight.cols, values.row(h * to));
  return Weight::from_matrix(std::as_const(values).view(), scalar_encoding(weight.format.encoding));
}

// Does with_more_rows for columns.
Weight with_more_columns(const Weight& weight, int64_t heads, int64_t from, int64_t to) {
  const Matrix<float> old = decode(weight);
  Matrix<float> values = Matrix<float>::zeros(weight.rows, heads * to);
  for (int64_t r = 0; r < weight.rows; ++r)
    for (int64_t h = 0; h < heads; ++h) std::copy_n(old.row(r) + h * from, from, values.row(r) + h * to);
  return Weight::from_matrix(std::as_const(values).view(), scalar_encoding(weight.format.encoding));
}

std::vector<float> with_more_values(const std::vector<float>& bias, int64_t heads, int64_t from, int64_t to) {
  std::vector<float> values(static_cast<size_t>(bias.empty() ? 0 : heads * to), 0.0f);
  for (size_t i = 0; i < bias.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    values[static_cast<size_t>(at / from * to + at % from)] = bias[i];
  }
  return values;
}

void make_whole(Attention& a) {
  const int64_t from = a.value_head_dim;
  a.v.weight = with_more_rows(a.v.weight, a.kv_heads, from, a.head_dim);
  a.v.bias = with_more_values(a.v.bias, a.kv_heads, from, a.head_dim);
  a.o.weight = with_more_columns(a.o.weight, a.heads, from, a.head_dim);
  a.value_head_dim = a.head_dim;
}

}  // namespace

int64_t make_values_whole(ModelConfig& config) {
  int64_t layers = 0;
  for (BlockShape& block : config.blocks) {
    if (block.value_head_dim == 0 || block.value_head_dim >= config.head_dim) continue;
    block.value_head_dim = config.head_dim;
    ++layers;
  }
  return layers;
}

Model with_whole_values(const Model& model) {
  ModelConfig config = model.config;
  const int64_t layers = make_values_whole(config);
  gguf_writing_architecture(config);
  if (layers == 0) return model;
  Model whole = model;
  std::map<std::string_view, int64_t> left;  // matrices by codes that they leave
  for (Block& block : whole.blocks)
    for (Stage& stage : block.stages)
      for (Branch& branch : stage.branches) {
        auto* attention = std::get_if<Attention>(&branch);
        if (attention == nullptr || attention->value_head_dim >= attention->head_dim) continue;
        for (const Weight* weight : {&attention->v.weight, &attention->o.weight})
          if (!is_float(weight->format.encoding)) ++left[encoding_info(weight->format.encoding).name];
        make_whole(*attention);
      }
  update_config(whole);
  const int64_t before = model_size(model).dense_parameters;
  const int64_t added = model_size(whole).dense_parameters - before;
  log_warning(
      "a GGUF file needs values as wide as keys ({}): those of {} layers are written with zeros, {} "
      "parameters ({:.1f} %) that say nothing; slicing with `streams hidden` cuts as much where the file "
      "gets "
      "smaller",
      model.config.head_dim, layers, added, 100.0 * static_cast<double>(added) / static_cast<double>(before));
  for (const auto& [name, count] : left)
    log_warning("{} of their matrices in {} become bf16, which `dtype` rounds again", count, name);
  return whole;
}

}  // namespace pare
