// Deleting directions of a stream without leaving its basis.
#pragma once

#include <memory>

#include "kernels/backend.h"
#include "linalg/linalg.h"

namespace pare {

// x ← Q·Qᵀ·x for the first `kept` columns of an orthogonal Q (D, D): what is left of a stream whose other
// components are cut, in its original basis.
class SubspaceCut {
 public:
  SubspaceCut(const Matrix<double>& q, int64_t kept, ComputeType compute);
  // x (tokens, D)
  void apply(MatrixView<float> x) const;

 private:
  bool removes_;  // holds the deleted directions, to be subtracted, because they are fewer
  std::unique_ptr<PackedLinear> into_;
  std::unique_ptr<PackedLinear> back_;
};

}  // namespace pare
