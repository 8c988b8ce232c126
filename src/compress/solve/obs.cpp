#include "compress/solve/obs.h"

#include <algorithm>

#include "base/parallel.h"
#include "linalg/linalg.h"

namespace pare {
namespace {

constexpr int64_t kBlockColumns = 128;  // the columns after a block are updated by one matrix product

// Columns [first, last) of one row: deletes, and moves what was deleted to the columns behind it up to
// `last`. `errors` receives (w − w') / U_cc.
void sweep_row(MatrixView<const double> upper, double* w, int64_t first, int64_t last, Pattern pattern,
               bool choose, uint32_t* groups, double* errors) {
  double scores[kMaxGroup];
  for (int64_t c = first; c < last; ++c) {
    const int64_t g = c / pattern.group;
    const int64_t within = c % pattern.group;
    if (choose && within == 0) {
      for (int32_t i = 0; i < pattern.group; ++i) {
        const double scaled = w[c + i] / upper(c + i, c + i);
        scores[i] = scaled * scaled;
      }
      groups[g] = best_of_group(scores, pattern);
    }
    double error = 0.0;
    if ((groups[g] >> within & 1u) == 0) {
      error = w[c] / upper(c, c);
      w[c] = 0.0;
      const double* u = upper.row(c);
      for (int64_t j = c + 1; j < last; ++j) w[j] -= error * u[j];
    }
    errors[c - first] = error;
  }
}

void sweep(const ObsFactor& factor, bool choose, Mask& mask, Matrix<double>& weight) {
  const int64_t n = weight.cols();
  const MatrixView<const double> upper = factor.upper();
  PARE_CHECK(upper.rows == n && mask.cols == n && mask.rows == weight.rows());
  const int64_t block = kBlockColumns / mask.pattern.group * mask.pattern.group;
  Matrix<double> errors(weight.rows(), block);
  for (int64_t first = 0; first < n; first += block) {
    const int64_t last = std::min(n, first + block);
    parallel_for(weight.rows(), [&](int64_t r) {
      sweep_row(upper, weight.row(r), first, last, mask.pattern, choose, &mask.group(r, 0), errors.row(r));
    });
    if (last == n) break;
    gemm(false, false, -1.0, std::as_const(errors).view().block(0, 0, weight.rows(), last - first),
         upper.block(first, last, last - first, n - last), 1.0,
         weight.view().block(0, last, weight.rows(), n - last));
  }
}

}  // namespace

// With the order of columns reversed, H = LLᵀ becomes H = RRᵀ with R upper triangular: U = R⁻¹. Reversing all
// values of a square matrix reverses its rows and its columns.
ObsFactor::ObsFactor(MatrixView<const double> gram) {
  Matrix<double> reversed = copy_of(gram);
  std::reverse(reversed.data(), reversed.data() + reversed.size());
  SpdFactor factor(std::move(reversed));
  raised_ = factor.raised();
  upper_ = std::move(factor).inverse_factor();
  std::reverse(upper_.data(), upper_.data() + upper_.size());
}

Mask sparsegpt(const ObsFactor& factor, Pattern pattern, Matrix<double>& weight) {
  Mask mask(pattern, weight.rows(), weight.cols());
  sweep(factor, true, mask, weight);
  return mask;
}

void obs_update(const ObsFactor& factor, const Mask& mask, Matrix<double>& weight) {
  Mask fixed = mask;
  sweep(factor, false, fixed, weight);
}

}  // namespace pare
