#include "compress/exactness.h"

#include <algorithm>

namespace pare {

Matrix<float> probe_logits(const Model& model, const CalibrationSet& set, const WeightEdit& edit,
                           const StageEdit& stage_edit) {
  constexpr size_t kProbeTokens = 48;
  const auto& sequence = set.sequences.front();
  return streamed_logits(model, std::span(sequence.data(), std::min(kProbeTokens, sequence.size())), edit,
                         stage_edit);
}

void require_exact(const std::string& name, MatrixView<const float> expected, MatrixView<const float> got,
                   Report& report, double tolerance) {
  const double difference = relative_difference(expected, got);
  report.checks.push_back({name, difference});
  if (!(difference <= tolerance))
    fail(ErrorCode::kNumeric,
         "{} should leave the outputs alone, but changes them by {:.2e} (at most {:.0e})", name, difference,
         tolerance);
}

}  // namespace pare
