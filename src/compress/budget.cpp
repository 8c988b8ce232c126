#include "compress/budget.h"

#include <algorithm>

#include "base/error.h"

namespace pare {
namespace {

// One edge of a curve's lower convex hull: cutting from one width to a smaller one.
struct Step {
  size_t curve;
  int64_t from, to;
  double loss_per_parameter;
};

std::vector<Step> hull_steps(const WidthCurve& curve, size_t index) {
  std::vector<Step> steps;
  size_t at = 0;
  while (at + 1 < curve.widths.size()) {
    size_t best = at + 1;
    double best_slope = 0.0;
    for (size_t next = at + 1; next < curve.widths.size(); ++next) {
      const auto removed =
          static_cast<double>((curve.widths[at] - curve.widths[next]) * curve.parameters_per_width);
      const double slope = (curve.loss[next] - curve.loss[at]) / removed;
      if (next == at + 1 || slope <= best_slope) {
        best = next;
        best_slope = slope;
      }
    }
    steps.push_back({index, curve.widths[at], curve.widths[best], best_slope});
    at = best;
  }
  return steps;
}

}  // namespace

std::vector<int64_t> allocate_widths(const std::vector<WidthCurve>& curves, int64_t parameters,
                                     int64_t granularity) {
  std::vector<Step> steps;
  std::vector<int64_t> widths;
  for (size_t i = 0; i < curves.size(); ++i) {
    const std::vector<Step> own = hull_steps(curves[i], i);
    steps.insert(steps.end(), own.begin(), own.end());
    widths.push_back(curves[i].widths.front());
  }
  // Slopes grow along a hull, so a sorted order never takes a curve's later step before its earlier one.
  std::stable_sort(steps.begin(), steps.end(),
                   [](const Step& a, const Step& b) { return a.loss_per_parameter < b.loss_per_parameter; });
  int64_t missing = parameters;
  for (const Step& step : steps) {
    if (missing <= 0) return widths;
    const int64_t cost = curves[step.curve].parameters_per_width;
    const int64_t needed = (missing + cost - 1) / cost;
    const int64_t rounded = (needed + granularity - 1) / granularity * granularity;
    const int64_t cut = std::min(step.from - step.to, rounded);
    widths[step.curve] = step.from - cut;
    missing -= cut * cost;
  }
  if (missing > 0)
    fail(ErrorCode::kInvalid,
         "cutting every stream to its smallest width still leaves {} parameters too many", missing);
  return widths;
}

}  // namespace pare
