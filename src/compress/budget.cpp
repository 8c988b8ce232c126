#include "compress/budget.h"

#include <algorithm>
#include <numeric>

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

// Returns the indices of options that no other beats in both, from the highest price to the lowest.
std::vector<size_t> useful(const PricedOptions& options) {
  std::vector<size_t> order(options.price.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(options.price[a], options.loss[a]) < std::pair(options.price[b], options.loss[b]);
  });
  std::vector<size_t> kept;
  for (const size_t i : order)
    if (kept.empty() || options.loss[i] < options.loss[kept.back()]) kept.push_back(i);
  std::reverse(kept.begin(), kept.end());
  return kept;
}

// The state of an allocation that is being improved: a place in the curve of each thing, whose widths are
// prices.
class Allocation {
 public:
  Allocation(const std::vector<WidthCurve>& curves, int64_t budget)
      : curves_(curves), at_(curves.size(), 0), left_(budget) {
    for (const WidthCurve& curve : curves) left_ -= curve.widths.front();
  }

  void descend() {
    std::vector<Step> steps;
    for (size_t i = 0; i < curves_.size(); ++i) {
      const std::vector<Step> own = hull_steps(curves_[i], i);
      steps.insert(steps.end(), own.begin(), own.end());
    }
    std::stable_sort(steps.begin(), steps.end(), [](const Step& a, const Step& b) {
      return a.loss_per_parameter < b.loss_per_parameter;
    });
    for (const Step& step : steps) {
      if (left_ >= 0) return;
      const auto& widths = curves_[step.curve].widths;
      make({step.curve,
            static_cast<size_t>(std::find(widths.begin(), widths.end(), step.to) - widths.begin())});
    }
  }
  // Makes the move, or the pair of moves, that lowers the loss most; returns whether there was one.
  bool improve() {
    double best = 0.0;
    std::vector<Move> found;
    std::vector<Move> cheaper;
    std::vector<Move> better;
    for (size_t i = 0; i < curves_.size(); ++i)
      for (size_t to = 0; to < curves_[i].widths.size(); ++to)
        if (to != at_[i]) (to < at_[i] ? better : cheaper).push_back({i, to});
    for (const Move& move : better) {
      if (price_of(move) <= left_ && loss_of(move) < best) {
        best = loss_of(move);
        found = {move};
      }
      for (const Move& back : cheaper)
        if (back.thing != move.thing && price_of(move) + price_of(back) <= left_ &&
            loss_of(move) + loss_of(back) < best) {
          best = loss_of(move) + loss_of(back);
          found = {move, back};
        }
    }
    // Smaller gains may be rounding of the sums, and would not end.
    if (-best < 1e-12 * loss()) return false;
    for (const Move& one : found) make(one);
    return !found.empty();
  }
  const std::vector<size_t>& places() const { return at_; }

 private:
  struct Move {
    size_t thing;
    size_t to;
  };
  int64_t price_of(const Move& m) const {
    return curves_[m.thing].widths[m.to] - curves_[m.thing].widths[at_[m.thing]];
  }
  double loss_of(const Move& m) const {
    return curves_[m.thing].loss[m.to] - curves_[m.thing].loss[at_[m.thing]];
  }
  double loss() const {
    double sum = 0.0;
    for (size_t i = 0; i < curves_.size(); ++i) sum += curves_[i].loss[at_[i]];
    return sum;
  }
  void make(const Move& m) {
    left_ -= price_of(m);
    at_[m.thing] = m.to;
  }

  const std::vector<WidthCurve>& curves_;
  std::vector<size_t> at_;
  int64_t left_;  // part of the budget that is not spent; negative: it is exceeded
};

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
    const int64_t width = std::max(step.to, (step.from - needed) / granularity * granularity);
    widths[step.curve] = width;
    missing -= (step.from - width) * cost;
  }
  if (missing > 0)
    fail(ErrorCode::kInvalid,
         "cutting every stream to its smallest width still leaves {} parameters too many", missing);
  return widths;
}

std::vector<size_t> allocate_options(const std::vector<PricedOptions>& things, int64_t budget) {
  std::vector<std::vector<size_t>> indices;
  std::vector<WidthCurve> curves;
  int64_t least = 0;
  for (const PricedOptions& options : things) {
    indices.push_back(useful(options));
    WidthCurve curve;
    curve.parameters_per_width = 1;
    for (const size_t i : indices.back()) {
      curve.widths.push_back(options.price[i]);
      curve.loss.push_back(options.loss[i]);
    }
    least += curve.widths.back();
    curves.push_back(std::move(curve));
  }
  if (least > budget)
    fail(ErrorCode::kInvalid, "the least that there is costs {}, and {} may be spent", least, budget);
  Allocation allocation(curves, budget);
  allocation.descend();
  while (allocation.improve()) {
  }
  std::vector<size_t> chosen;
  for (size_t i = 0; i < curves.size(); ++i) chosen.push_back(indices[i][allocation.places()[i]]);
  return chosen;
}

}  // namespace pare
