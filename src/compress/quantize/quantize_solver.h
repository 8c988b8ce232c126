// Linears rounded to few bits, each for the input that it reads.
#pragma once

#include "compress/calibrate/linear_solver.h"
#include "compress/calibrate/selection.h"
#include "compress/quantize/options.h"

namespace pare {

class QuantizeSolver final : public LinearSolver {
 public:
  // `original`: the model before embedding and head were rounded.
  QuantizeSolver(const QuantizeOptions& options, const Model& original)
      : options_(options),
        selection_(options.targets, options.ignore),
        config_(original.config),
        embedding_(original.embedding) {}
  std::string activity() const override { return "rounding"; }
  Model with_original_ends(const Model& model) const override {
    Model original = model;
    original.embedding = embedding_;
    return original;
  }
  bool takes(StagePosition position, Role role) const override {
    return selection_.selects(config_, position.block, role);
  }
  // Returns the linear in the format of the options; one that is in it already stays as it is.
  Weight solve(const CalibratedLinear& linear, Report& report) override;

 private:
  QuantizeOptions options_;
  Selection selection_;
  ModelConfig config_;
  Weight embedding_;
};

// Rounds a matrix for the input that `linear` knows, and adds an entry of kind "quantization" to the report.
Weight rounded(const CalibratedLinear& linear, const QuantizeOptions& options, Encoding encoding,
               Report& report);

}  // namespace pare
