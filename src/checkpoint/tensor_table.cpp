#include "checkpoint/tensor_table.h"

namespace pare {

const Architecture& architecture_of(const Model& model) { return writing_architecture(model.config); }

Weight vector_weight(const std::vector<float>& values) {
  const auto n = static_cast<int64_t>(values.size());
  return Weight::from_matrix(MatrixView<const float>{values.data(), 1, n, n});
}

void add_missing_norms(Model& model) {
  const auto fill = [](Norm& norm, int64_t width) {
    if (norm.kind == NormKind::kNone) return;
    if (norm.weight.empty()) norm.weight.assign(static_cast<size_t>(width), 1.0f);
    if (norm.bias.empty() && norm.kind == NormKind::kLayer)
      norm.bias.assign(static_cast<size_t>(width), 0.0f);
  };
  int64_t width = model.config.stream_width();
  for (Block& block : model.blocks) {
    for (Stage& stage : block.stages) {
      const int64_t width_in = width;
      if (!stage.skip.empty()) width = stage.skip.rows;
      if (stage.branches.empty()) continue;
      fill(stage.norm, stage.norm_place == NormPlace::kInput ? width_in : width);
      for (Branch& branch : stage.branches) {
        auto* attention = std::get_if<Attention>(&branch);
        if (attention == nullptr || attention->norms == QueryKeyNorm::kNone) continue;
        const bool whole = attention->norms == QueryKeyNorm::kWhole;
        fill(attention->q_norm, attention->head_dim * (whole ? attention->heads : 1));
        fill(attention->k_norm, attention->head_dim * (whole ? attention->kv_heads : 1));
      }
    }
  }
  fill(model.final_norm, width);
}

}  // namespace pare
