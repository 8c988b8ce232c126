#include "compress/slice/fuse.h"

#include <cmath>

#include "linalg/linalg.h"
#include "model/visit.h"

namespace pare {
namespace {

// W ← W·diag(scale), as f32.
Weight scale_columns(const Weight& weight, const std::vector<float>& scale) {
  Matrix<double> w = decode_f64(weight);
  for (int64_t r = 0; r < w.rows(); ++r)
    for (int64_t c = 0; c < w.cols(); ++c) w(r, c) *= scale[static_cast<size_t>(c)];
  return Weight::from_matrix(std::as_const(w).view());
}

Weight diagonal(const std::vector<float>& scale) {
  const auto n = static_cast<int64_t>(scale.size());
  Matrix<double> m = Matrix<double>::zeros(n, n);
  for (int64_t i = 0; i < n; ++i) m(i, i) = scale[static_cast<size_t>(i)];
  return Weight::from_matrix(std::as_const(m).view());
}

}  // namespace

void fuse_norms(Model& model) {
  for (Block& block : model.blocks) {
    for (Stage& stage : block.stages) {
      if (stage.norm.weight.empty()) continue;
      for_each_linear(stage, [&](Role role, Linear& linear) {
        if (reads_residual(role)) linear.weight = scale_columns(linear.weight, stage.norm.weight);
      });
      stage.norm.weight.clear();
    }
  }
  if (!model.head.empty() && !model.head_transform.empty()) {
    const Matrix<double> head =
        matmul(decode_f64(model.head).view(), decode_f64(model.head_transform).view());
    model.head = Weight::from_matrix(head.view());
    model.head_transform = {};
  }
  if (!model.final_norm.weight.empty()) {
    const std::vector<float>& scale = model.final_norm.weight;
    if (!model.head_transform.empty()) {
      model.head_transform = scale_columns(model.head_transform, scale);
    } else if (!model.head.empty()) {
      model.head = scale_columns(model.head, scale);
    } else {
      model.head_transform = diagonal(scale);
    }
    model.final_norm.weight.clear();
  }
  update_config(model);
}

void untie_head(Model& model) {
  if (model.head.empty()) model.head = model.embedding;
  update_config(model);
}

void use_plain_norms(Model& model) {
  const auto convert = [](Norm& norm, int64_t width) {
    const double ratio = norm.divisor / static_cast<double>(width);
    if (ratio == 1.0) return;
    if (norm.weight.empty()) norm.weight.assign(static_cast<size_t>(width), 1.0f);
    for (float& w : norm.weight) w = static_cast<float>(w * std::sqrt(ratio));
    norm.eps *= ratio;
    norm.divisor = static_cast<double>(width);
  };
  PARE_CHECK(model.config.is_uniform());
  const int64_t width = model.config.embedding_width;
  for (Block& block : model.blocks)
    for (Stage& stage : block.stages) convert(stage.norm, width);
  convert(model.final_norm, width);
  model.config.norm_width = width;
  model.config.norm_eps = model.final_norm.eps;
}

}  // namespace pare
