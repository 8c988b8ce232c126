// Deleting directions of a stream without leaving its basis.
#pragma once

#include <memory>

#include "kernels/backend.h"
#include "linalg/linalg.h"

namespace pare {

// x ← Q·Qᵀ·x for the first `kept` columns of an orthogonal Q (D, D): removes the other components of a stream
// and leaves it in its original basis.
class SubspaceCut {
 public:
  SubspaceCut(const Matrix<double>& q, int64_t kept, ComputeType compute);
  // Cuts x (tokens, D) in place.
  void apply(MatrixView<float> x) const;

 private:
  bool removes_;  // true: holds the deleted directions, to be subtracted, because they are fewer
  std::unique_ptr<PackedLinear> into_;
  std::unique_ptr<PackedLinear> back_;
};

}  // namespace pare
