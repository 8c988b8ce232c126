#include "compress/slice/masked_refit.h"

#include "compress/solve/refine.h"

namespace pare {

Matrix<double> masked_refit(const Matrix<double>& weight, const Matrix<double>& wanted,
                            MatrixView<const double> gram, Pattern pattern) {
  Mask mask(pattern, weight.rows(), weight.cols());
  for (int64_t r = 0; r < weight.rows(); ++r)
    for (int64_t c = 0; c < weight.cols(); ++c)
      if (weight(r, c) != 0.0) mask.group(r, c / pattern.group) |= 1u << (c % pattern.group);
  InputGram input(copy_of(gram));
  Matrix<double> values = weight.clone();
  refit(wanted.view(), input, mask, values);
  return values;
}

}  // namespace pare
