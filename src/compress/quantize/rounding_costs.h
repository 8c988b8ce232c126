// What rounding single matrices costs in the model's predictions, foreseen from one pass forward and back.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "compress/progress.h"
#include "compress/quantize/scheme.h"
#include "compress/walk/calibration_set.h"
#include "model/model.h"

namespace pare {

// A matrix and the encodings that it may get.
struct RoundingUnit {
  MatrixName name;
  std::vector<Encoding> options;
};

// Rounds a matrix to the nearest codes, row by row, with scales whose errors count by `importance` (cols): of
// each column; empty: all alike. To floats each value is rounded alone. A weight that is in the encoding
// stays.
Weight rounded_alone(const Weight& weight, Encoding encoding, std::span<const double> importance);

class RoundingCosts {
 public:
  // Runs the model and its gradient on the set's tokens once. With inputs x_t of a linear, gradients g_t at
  // its outputs (GradientWalk) and the error E of weights rounded alone, a sequence costs
  // ½ · Σ_r (Σ_t g_tr · E_r·x_t)² nats: to second order the KL divergence from the model, where the errors of
  // outputs r are independent. Those of tokens t are not: the error of a value adds up over the tokens that
  // read it. The head costs half the variance of E·x over the model's own predictions; an embedding that is
  // its own matrix, or tied, the first sum over its columns at the residual stream. Costs are means over the
  // tokens. Throws kNumeric as the walk does.
  RoundingCosts(const Model& model, const CalibrationSet& set, const std::vector<RoundingUnit>& units,
                const PassProgress& progress = {});

  // Returns the costs of a unit's options, in nats a token.
  const std::vector<double>& of(const MatrixName& name) const { return costs_.at(name); }
  // Returns the mean square of the inputs that each column of a matrix is multiplied with; empty for an
  // embedding that is not the head.
  std::span<const double> importance(const MatrixName& name) const;

 private:
  class Visitor;

  std::map<MatrixName, std::vector<double>> costs_;
  std::map<MatrixName, std::vector<double>> importances_;
};

}  // namespace pare
