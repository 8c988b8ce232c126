// Axes of plots: from figures to places, and round figures to mark.
#pragma once

#include <string>
#include <vector>

namespace pare {

struct Tick {
  double value = 0.0;
  std::string label;
};

// An axis that begins at 0.
class LinearAxis {
 public:
  // `largest`: the largest figure, more than 0; the axis ends at a round figure that is not below.
  explicit LinearAxis(double largest);
  double place(double value) const { return value / end_; }  // 0 to 1
  std::vector<Tick> ticks() const;

 private:
  double step_ = 1.0;
  double end_ = 1.0;
};

// A logarithmic axis over whole decades. Figures below it, such as 0, stand at its beginning.
class LogAxis {
 public:
  // Covers the figures above 0 among `values`, of which there may be none, but no more than `most_decades`
  // below the largest.
  explicit LogAxis(const std::vector<double>& values, int most_decades = 12);
  bool covers(double value) const;
  double place(double value) const;  // 0 to 1
  std::vector<Tick> ticks() const;

 private:
  int first_ = -3;  // powers of ten
  int last_ = 0;
};

}  // namespace pare
