// Linears rounded to few bits, each for the input that it reads.
#pragma once

#include <functional>

#include "compress/calibrate/linear_solver.h"
#include "compress/calibrate/selection.h"
#include "compress/quantize/options.h"

namespace pare {

class QuantizeSolver final : public LinearSolver {
 public:
  QuantizeSolver(const QuantizeOptions& options, const ModelConfig& config)
      : options_(options), selection_(options.targets, options.ignore), config_(config) {}
  std::string activity() const override { return "rounding"; }
  bool takes(StagePosition position, Role role) const override {
    return selection_.selects(config_, position.block, role);
  }
  // Returns the linear in the format of the options; one that is in it already stays as it is.
  Weight solve(const CalibratedLinear& linear, Report& report) override;

 private:
  QuantizeOptions options_;
  Selection selection_;
  ModelConfig config_;
};

// Rounds a matrix for the input that `linear` knows, and adds an entry of kind "quantization" to the report.
// Calls `done`, if given, with the number of rows that are rounded, as it grows.
Weight rounded(const CalibratedLinear& linear, const QuantizeOptions& options, Encoding encoding,
               Report& report, const std::function<void(int64_t)>& done = {});

}  // namespace pare
