#include "compress/slice/fuse.h"

#include <cmath>
#include <numeric>

#include "checkpoint/arch/architecture.h"
#include "linalg/linalg.h"
#include "model/visit.h"

namespace pare {
namespace {

// W ← W·diag(scale), without its part that reads the mean where the norm takes that away: W·diag(scale)·M.
void fuse_columns(Matrix<double>& w, const Norm& norm) {
  for (int64_t r = 0; r < w.rows(); ++r) {
    double* row = w.row(r);
    for (size_t c = 0; c < norm.weight.size(); ++c) row[c] *= norm.weight[c];
    if (norm.kind != NormKind::kLayer) continue;
    const double mean = std::accumulate(row, row + w.cols(), 0.0) / static_cast<double>(w.cols());
    for (int64_t c = 0; c < w.cols(); ++c) row[c] -= mean;
  }
}

// bias + W·x
std::vector<float> added_product(const Weight& weight, const std::vector<double>& x,
                                 const std::vector<float>& bias) {
  std::vector<float> result(static_cast<size_t>(weight.rows));
  std::vector<float> row(static_cast<size_t>(weight.cols));
  for (size_t r = 0; r < result.size(); ++r) {
    decode_row(weight, static_cast<int64_t>(r), row.data());
    double sum = bias.empty() ? 0.0 : static_cast<double>(bias[r]);
    for (size_t c = 0; c < row.size(); ++c) sum += static_cast<double>(row[c]) * x[c];
    result[r] = static_cast<float>(sum);
  }
  return result;
}

// Takes from every column its mean.
Weight center_columns(const Weight& weight) {
  Matrix<double> w = decode_f64(weight);
  std::vector<double> mean(static_cast<size_t>(w.cols()), 0.0);
  for (int64_t r = 0; r < w.rows(); ++r)
    for (int64_t c = 0; c < w.cols(); ++c)
      mean[static_cast<size_t>(c)] += w(r, c) / static_cast<double>(w.rows());
  for (int64_t r = 0; r < w.rows(); ++r)
    for (int64_t c = 0; c < w.cols(); ++c) w(r, c) -= mean[static_cast<size_t>(c)];
  return Weight::from_matrix(std::as_const(w).view());
}

Matrix<double> mean_scaling(int64_t width, double factor) {
  Matrix<double> m = Matrix<double>::identity(width);
  const double part = (factor - 1.0) / static_cast<double>(width);
  for (int64_t i = 0; i < m.size(); ++i) m.data()[i] += part;
  return m;
}

}  // namespace

Stage center_writers(const Stage& stage) {
  Stage centered = stage;
  if (stage.norm.kind != NormKind::kLayer) return centered;
  PARE_CHECK(stage.skip.empty());
  for_each_linear(centered, [&](Role role, Linear& linear) {
    if (!writes_residual(role)) return;
    linear.weight = center_columns(linear.weight);
    if (linear.bias.empty()) return;
    const auto width = static_cast<int64_t>(linear.bias.size());
    center_rows({linear.bias.data(), 1, width, width});
  });
  return centered;
}

void center_rows(MatrixView<float> x) {
  for (int64_t r = 0; r < x.rows; ++r) {
    float* row = x.row(r);
    double mean = 0.0;
    for (int64_t c = 0; c < x.cols; ++c) mean += static_cast<double>(row[c]) / static_cast<double>(x.cols);
    for (int64_t c = 0; c < x.cols; ++c) row[c] = static_cast<float>(static_cast<double>(row[c]) - mean);
  }
}

Matrix<double> centering(int64_t width, double left) { return mean_scaling(width, left); }
Matrix<double> inverse_centering(int64_t width, double left) { return mean_scaling(width, 1.0 / left); }

Stage fuse_norm(const Stage& stage) {
  Stage fused = stage;
  fused.norm.kind = NormKind::kRms;
  fused.norm.weight.clear();
  fused.norm.bias.clear();
  const std::vector<double> shift(stage.norm.bias.begin(), stage.norm.bias.end());
  for_each_linear(fused, [&](Role role, Linear& linear) {
    if (!reads_residual(role)) return;
    if (!shift.empty()) linear.bias = added_product(linear.weight, shift, linear.bias);
    if (stage.norm.weight.empty() && stage.norm.kind == NormKind::kRms) return;
    Matrix<double> weight = decode_f64(linear.weight);
    fuse_columns(weight, stage.norm);
    linear.weight = Weight::from_matrix(std::as_const(weight).view());
  });
  return fused;
}

std::vector<float> fused_head_bias(const Model& model) {
  const std::vector<float>& shift = model.final_norm.bias;
  if (shift.empty()) return model.head_bias;
  std::vector<double> x(shift.begin(), shift.end());
  if (!model.head_transform.empty()) {
    const std::vector<float> transformed = added_product(model.head_transform, x, {});
    x.assign(transformed.begin(), transformed.end());
  }
  return added_product(model.head_weight(), x, model.head_bias);
}

Matrix<double> fused_head_map(const Model& model) {
  Matrix<double> map = model.head_transform.empty() ? Matrix<double>::identity(model.config.output_width())
                                                    : decode_f64(model.head_transform);
  fuse_columns(map, model.final_norm);
  return map;
}

bool plain_norms_suffice(ModelConfig config) {
  config.norm_width = config.embedding_width;
  return architecture_named(config.architecture).is_plain(config);
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
    for (Stage& stage : block.stages) {
      for (Branch& branch : stage.branches)
        if (auto* attention = std::get_if<Attention>(&branch))
          for (Norm* norm : {&attention->q_norm, &attention->k_norm})
            norm->eps *= stage.norm.divisor / static_cast<double>(width);
      convert(stage.norm, width);
    }
  convert(model.final_norm, width);
  model.config.norm_width = width;
  model.config.norm_eps = model.final_norm.eps;
}

Stage with_plain_heads(const Stage& stage, int64_t width) {
  Stage scaled = stage;
  const auto factor = static_cast<float>(std::sqrt(stage.norm.divisor / static_cast<double>(width)));
  for (Branch& branch : scaled.branches) {
    auto* attention = std::get_if<Attention>(&branch);
    if (attention == nullptr || attention->norms == QueryKeyNorm::kNone) continue;
    for (Linear* linear : {&attention->q, &attention->k}) {
      Matrix<float> weight = decode(linear->weight);
      for (int64_t i = 0; i < weight.size(); ++i) weight.data()[i] *= factor;
      linear->weight = Weight::from_matrix(std::as_const(weight).view());
      for (float& b : linear->bias) b *= factor;
    }
  }
  return scaled;
}

}  // namespace pare
