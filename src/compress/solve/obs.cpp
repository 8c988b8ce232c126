#include "compress/solve/obs.h"

namespace pare {
namespace {

// Deletes the values that a row's mask does not keep.
struct DeleteByMask {
  const uint32_t* groups;
  int64_t group;  // columns of a group

  bool operator()(const double*, int64_t c, double& value) const {
    value = 0.0;
    return (groups[c / group] >> (c % group) & 1u) == 0;
  }
};

// Chooses the mask of a group when the sweep comes to it, and deletes the values whose loss would cost
// least.
struct ChooseAndDelete {
  MatrixView<const double> upper;
  Pattern pattern;
  uint32_t* groups;

  bool operator()(const double* w, int64_t c, double& value) const {
    if (c % pattern.group == 0) {
      double scores[kMaxGroup];
      for (int32_t i = 0; i < pattern.group; ++i) {
        const double scaled = w[c + i] / upper(c + i, c + i);
        scores[i] = scaled * scaled;
      }
      groups[c / pattern.group] = best_of_group(scores, pattern);
    }
    return DeleteByMask{groups, pattern.group}(w, c, value);
  }
};

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
  const auto rule_of = [&](int64_t r) { return ChooseAndDelete{factor.upper(), pattern, &mask.group(r, 0)}; };
  obs_sweep(factor, pattern.group, rule_of, weight);
  return mask;
}

void obs_update(const ObsFactor& factor, const Mask& mask, Matrix<double>& weight) {
  PARE_CHECK(mask.rows == weight.rows() && mask.cols == weight.cols());
  const auto rule_of = [&](int64_t r) {
    return DeleteByMask{&mask.groups[static_cast<size_t>(r * mask.groups_per_row())], mask.pattern.group};
  };
  obs_sweep(factor, mask.pattern.group, rule_of, weight);
}

}  // namespace pare
