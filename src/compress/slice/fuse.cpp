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

}  // namespace

Stage fuse_norm(const Stage& stage) {
  Stage fused = stage;
  if (stage.norm.weight.empty()) return fused;
  for_each_linear(fused, [&](Role role, Linear& linear) {
    if (reads_residual(role)) linear.weight = scale_columns(linear.weight, stage.norm.weight);
  });
  fused.norm.weight.clear();
  return fused;
}

Matrix<double> fused_head_map(const Model& model) {
  Matrix<double> map = model.head_transform.empty() ? Matrix<double>::identity(model.config.output_width())
                                                    : decode_f64(model.head_transform);
  const std::vector<float>& scale = model.final_norm.weight;
  for (int64_t r = 0; r < map.rows(); ++r)
    for (size_t c = 0; c < scale.size(); ++c) map(r, static_cast<int64_t>(c)) *= scale[c];
  return map;
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
