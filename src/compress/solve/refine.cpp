#include "compress/solve/refine.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/parallel.h"

namespace pare {
namespace {

constexpr double kSmallestGain = 1e-9;  // share of the row's error; smaller gains are rounding
constexpr int kMaxPasses = 50;

double dot(const double* a, const double* b, int64_t n) { return std::inner_product(a, a + n, b, 0.0); }

Matrix<double> difference(MatrixView<const double> a, MatrixView<const double> b) {
  Matrix<double> d(a.rows, a.cols);
  parallel_for(a.rows, [&](int64_t r) {
    for (int64_t c = 0; c < a.cols; ++c) d(r, c) = a(r, c) - b(r, c);
  });
  return d;
}

void add_scaled(double* y, double factor, const double* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += factor * x[i];
}

// One exchange: column `out` loses its value, column `in` gets `value`.
struct Exchange {
  double change = 0.0;  // change of the error; negative is better
  int32_t out = -1;
  int32_t in = -1;
  double value = 0.0;
};

// Returns the best exchange of the group that begins at column `first`. r = (v − T)·H, v the row's values;
// `fixed`: values of weights when they are kept; null: these are free.
Exchange best_exchange(const double* v, const double* fixed, const double* r, MatrixView<const double> gram,
                       int64_t first, uint32_t kept, int32_t group) {
  Exchange best;
  for (int32_t o = 0; o < group; ++o) {
    if ((kept >> o & 1u) == 0) continue;
    const int64_t out = first + o;
    const double leaving = v[out];
    const double without = leaving * (leaving * gram(out, out) - 2.0 * r[out]);
    for (int32_t i = 0; i < group; ++i) {
      if ((kept >> i & 1u) != 0) continue;
      const int64_t in = first + i;
      const double h = gram(in, in);
      const double slope = r[in] - leaving * gram(out, in);  // slope of the error / 2, once `out` is gone
      const double value = fixed != nullptr ? fixed[in] : h > 0.0 ? -slope / h : 0.0;
      const double change = without + value * (value * h + 2.0 * slope);
      if (change < best.change) best = {change, o, i, value};
    }
  }
  return best;
}

int64_t refine_row(double* v, const double* fixed, double* r, double error, MatrixView<const double> gram,
                   Mask& mask, int64_t row) {
  const int32_t group = mask.pattern.group;
  int64_t made = 0;
  for (int pass = 0; pass < kMaxPasses; ++pass) {
    int64_t before = made;
    for (int64_t g = 0; g < mask.groups_per_row(); ++g) {
      uint32_t& kept = mask.group(row, g);
      const Exchange e = best_exchange(v, fixed, r, gram, g * group, kept, group);
      if (e.out < 0 || e.change > -kSmallestGain * error) continue;
      const int64_t out = g * group + e.out;
      const int64_t in = g * group + e.in;
      add_scaled(r, -v[out], gram.row(out), gram.cols);
      add_scaled(r, e.value, gram.row(in), gram.cols);
      v[out] = 0.0;
      v[in] = e.value;
      kept = (kept & ~(1u << e.out)) | 1u << e.in;
      ++made;
    }
    if (made == before) break;
  }
  return made;
}

int64_t refine(MatrixView<const double> target, InputGram& gram, const double* fixed, int64_t fixed_stride,
               Mask& mask, Matrix<double>& values) {
  const Matrix<double> e = difference(std::as_const(values).view(), target);
  Matrix<double> r(values.rows(), values.cols());
  gram.product().apply(e, r);
  std::vector<int64_t> made(static_cast<size_t>(values.rows()));
  parallel_for(values.rows(), [&](int64_t row) {
    const double error = dot(e.row(row), r.row(row), values.cols());
    made[static_cast<size_t>(row)] =
        refine_row(values.row(row), fixed == nullptr ? nullptr : fixed + row * fixed_stride, r.row(row),
                   error, gram.matrix(), mask, row);
  });
  return std::accumulate(made.begin(), made.end(), int64_t{0});
}

}  // namespace

double layer_error(MatrixView<const double> values, MatrixView<const double> target,
                   MatrixView<const double> gram) {
  const Matrix<double> e = difference(values, target);
  const Matrix<double> r = matmul(e.view(), gram);
  return dot(e.data(), r.data(), e.size());
}

int64_t swap_refine(MatrixView<const double> weight, MatrixView<const double> target, InputGram& gram,
                    Mask& mask) {
  Matrix<double> values = copy_of(weight);
  apply_mask(mask, values.view());
  return refine(target, gram, weight.data, weight.stride, mask, values);
}

int64_t swap_refine_free(MatrixView<const double> target, InputGram& gram, Mask& mask,
                         Matrix<double>& values) {
  return refine(target, gram, nullptr, 0, mask, values);
}

void refit(MatrixView<const double> target, InputGram& input, const Mask& mask, Matrix<double>& values,
           double tolerance, int max_steps) {
  const int64_t rows = values.rows();
  const int64_t n = values.cols();
  const MatrixView<const double> gram = input.matrix();
  std::vector<double> scale(static_cast<size_t>(n));
  for (int64_t c = 0; c < n; ++c) scale[static_cast<size_t>(c)] = gram(c, c) > 0.0 ? 1.0 / gram(c, c) : 0.0;
  // Residual −(V − T)·H on the kept columns, direction, and rows that are not done.
  FloatProduct& times_gram = input.product();
  Matrix<double> residual(rows, n);
  Matrix<double> whole(rows, n);
  times_gram.apply(difference(std::as_const(values).view(), target), residual);
  times_gram.apply(copy_of(target), whole);
  Matrix<double> direction(rows, n);
  Matrix<double> product(rows, n);
  std::vector<double> rho(static_cast<size_t>(rows));
  std::vector<double> enough(static_cast<size_t>(rows));
  const auto preconditioned = [&](const double* r, double* z) {
    double sum = 0.0;
    for (int64_t c = 0; c < n; ++c) {
      z[c] = r[c] * scale[static_cast<size_t>(c)];
      sum += r[c] * z[c];
    }
    return sum;
  };
  parallel_for(rows, [&](int64_t row) {
    double* r = residual.row(row);
    double start = 0.0;
    for (int64_t c = 0; c < n; ++c) {
      start += whole(row, c) * whole(row, c) * scale[static_cast<size_t>(c)];
      r[c] = mask.keeps(row, c) ? -r[c] : 0.0;
    }
    rho[static_cast<size_t>(row)] = preconditioned(r, direction.row(row));
    enough[static_cast<size_t>(row)] = tolerance * tolerance * start;
  });
  for (int step = 0; step < max_steps; ++step) {
    bool done = true;
    for (size_t row = 0; row < rho.size(); ++row) done = done && rho[row] <= enough[row];
    if (done) break;
    times_gram.apply(direction, product);
    parallel_for(rows, [&](int64_t row) {
      const auto i = static_cast<size_t>(row);
      double* d = direction.row(row);
      if (rho[i] <= enough[i]) {
        std::fill_n(d, n, 0.0);
        return;
      }
      const double curvature = dot(d, product.row(row), n);
      if (!(curvature > 0.0)) {
        rho[i] = 0.0;
        return;
      }
      const double length = rho[i] / curvature;
      double* r = residual.row(row);
      for (int64_t c = 0; c < n; ++c) {
        values(row, c) += length * d[c];
        if (mask.keeps(row, c)) r[c] -= length * product(row, c);
      }
      std::vector<double> z(static_cast<size_t>(n));
      const double next = preconditioned(r, z.data());
      const double beta = next / rho[i];
      for (int64_t c = 0; c < n; ++c) d[c] = z[static_cast<size_t>(c)] + beta * d[c];
      rho[i] = next;
    });
  }
}

namespace {

// Keeps the N:M values of largest magnitude of every group.
Mask project(const Matrix<double>& from, Pattern pattern, Matrix<double>& to) {
  Mask mask(pattern, from.rows(), from.cols());
  parallel_for(from.rows(), [&](int64_t r) {
    double scores[kMaxGroup];
    for (int64_t g = 0; g < mask.groups_per_row(); ++g) {
      const double* values = from.row(r) + g * pattern.group;
      for (int32_t i = 0; i < pattern.group; ++i) scores[i] = std::abs(values[i]);
      const uint32_t kept = best_of_group(scores, pattern);
      mask.group(r, g) = kept;
      for (int32_t i = 0; i < pattern.group; ++i)
        to(r, g * pattern.group + i) = (kept >> i & 1u) != 0 ? values[i] : 0.0;
    }
  });
  return mask;
}

int64_t changed_groups(const Mask& a, const Mask& b) {
  int64_t changed = 0;
  for (size_t i = 0; i < a.groups.size(); ++i) changed += static_cast<int64_t>(a.groups[i] != b.groups[i]);
  return changed;
}

}  // namespace

// In coordinates where H has a diagonal of ones: W = (H·T − Y + ρD)·(H + ρI)⁻¹, D = projection of W + Y / ρ,
// Y += ρ(W − D); ρ grows faster while the mask still changes much (ALPS, algorithm 1). It ends when the mask
// hardly changes: exchanges finish the rest at less cost.
Mask alps(MatrixView<const double> target, InputGram& gram, Pattern pattern, Matrix<double>& values) {
  constexpr int kStepsPerPenalty = 3;
  constexpr int kMaxSteps = 120;
  constexpr double kFirstPenalty = 0.1;
  constexpr double kSettled = 0.002;  // share of the groups that still change
  const int64_t rows = target.rows;
  const int64_t n = target.cols;
  UnitBasis& basis = gram.basis();
  const std::vector<double>& unit = basis.unit;
  Matrix<double> goal(rows, n);
  gram.product().apply(copy_of(target), goal);
  Matrix<double> t(rows, n);
  parallel_for(rows, [&](int64_t r) {
    for (int64_t c = 0; c < n; ++c) {
      t(r, c) = target(r, c) * unit[static_cast<size_t>(c)];
      goal(r, c) /= unit[static_cast<size_t>(c)];
    }
  });
  Matrix<double> d(rows, n);
  Mask mask = project(t, pattern, d);
  Matrix<double> y = Matrix<double>::zeros(rows, n);
  Matrix<double> right(rows, n);
  Matrix<double> w(rows, n);
  double penalty = kFirstPenalty;
  Mask checked = mask;
  for (int step = 1; step <= kMaxSteps; ++step) {
    parallel_for(rows, [&](int64_t r) {
      for (int64_t c = 0; c < n; ++c) right(r, c) = goal(r, c) - y(r, c) + penalty * d(r, c);
    });
    basis.to.apply(right, w);
    parallel_for(rows, [&](int64_t r) {
      for (int64_t c = 0; c < n; ++c) w(r, c) /= basis.values[static_cast<size_t>(c)] + penalty;
    });
    basis.from.apply(w, w);
    parallel_for(rows, [&](int64_t r) {
      for (int64_t c = 0; c < n; ++c) right(r, c) = w(r, c) + y(r, c) / penalty;
    });
    mask = project(right, pattern, d);
    parallel_for(rows, [&](int64_t r) {
      for (int64_t c = 0; c < n; ++c) y(r, c) += penalty * (w(r, c) - d(r, c));
    });
    if (step % kStepsPerPenalty != 0) continue;
    const double changed =
        static_cast<double>(changed_groups(mask, checked)) / static_cast<double>(mask.groups.size());
    if (changed < kSettled) break;
    penalty *= changed > 0.1 ? 1.3 : changed > 0.005 ? 1.2 : 1.1;
    checked = mask;
  }
  parallel_for(rows, [&](int64_t r) {
    for (int64_t c = 0; c < n; ++c) values(r, c) = d(r, c) / unit[static_cast<size_t>(c)];
  });
  return mask;
}

}  // namespace pare
