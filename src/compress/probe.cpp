#include "compress/probe.h"

#include <algorithm>
#include <cmath>

#include "model/forward.h"

namespace pare {

Matrix<float> probe_logits(const Model& model, const CalibrationSet& set) {
  constexpr size_t kProbeTokens = 48;
  const PackedModel packed(model, ComputeType::kF32);
  const auto& sequence = set.sequences.front();
  const std::span<const int32_t> tokens(sequence.data(), std::min(kProbeTokens, sequence.size()));
  KvCache cache(packed, static_cast<int64_t>(tokens.size()));
  return logits_of(packed, forward(packed, tokens, cache).view());
}

double relative_difference(MatrixView<const float> a, MatrixView<const float> b) {
  PARE_CHECK(a.rows == b.rows && a.cols == b.cols);
  double largest = 0.0;
  double difference = 0.0;
  for (int64_t r = 0; r < a.rows; ++r)
    for (int64_t c = 0; c < a.cols; ++c) {
      const double d = std::abs(static_cast<double>(a(r, c)) - b(r, c));
      if (std::isnan(d)) return d;
      difference = std::max(difference, d);
      largest = std::max(largest, std::abs(static_cast<double>(a(r, c))));
    }
  return largest > 0.0 ? difference / largest : difference;
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
