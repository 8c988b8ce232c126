// Training through rounding: rows of a weight in block codes follow latent values, which gradients pass
// through as if there were no rounding (straight-through estimator, arXiv 1308.3432), and scales that are
// trained as logarithms.
#pragma once

#include <vector>

#include "tensor/block_codes.h"
#include "tensor/weight.h"

namespace pare {

class CodedRows {
 public:
  // Returns whether a weight can be trained as codes: it is dense, in an encoding that rows can be rounded
  // to.
  static bool can_train(const Weight& weight);
  // `start`: a weight that can_train() allows. Its factors and minima stay.
  explicit CodedRows(Weight start);

  const Weight& start() const { return start_; }
  // Returns the number of scales of a row.
  int64_t scales() const { return start_.cols / layout_.block; }
  // Sets latent values (rows, cols) that are rounded to the codes at the start: `origin` (rows, cols), the
  // values before rounding, moved half of the way from what rounds to these codes to the rounded value; or,
  // without an origin, the rounded values.
  void begin(MatrixView<const float> origin, MatrixView<float> latent) const;
  // Returns the weight of latent values and logarithms of scales (rows, scales()), which are relative to the
  // start.
  Weight rounded(MatrixView<const float> latent, MatrixView<const float> log_scales) const;
  // The gradient (rows, cols) at the values of rounded() becomes that at the latent values: zero where they
  // are beyond the levels. That at the logarithms is added to log_gradient (rows, scales()).
  void adjoint(MatrixView<const float> latent, MatrixView<const float> log_scales, MatrixView<float> gradient,
               MatrixView<float> log_gradient) const;

 private:
  // A row of the start with the scales that it has now.
  struct Row;

  Row row_at(int64_t r, const float* log_scales) const;
  uint8_t nearest(float units) const;

  Weight start_;
  const CodeLayout& layout_;
  std::vector<uint8_t> nearest_;  // nearest codes by whole halves of levels
};

}  // namespace pare
