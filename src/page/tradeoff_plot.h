// A plot of models: loss over bytes or speed.
#pragma once

#include <string>
#include <vector>

#include "page/charts.h"
#include "page/pareto.h"

namespace pare {

struct PlotPoint {
  size_t number = 0;  // number of the row in the table of all models
  std::string name;
  bool is_foreign = false;  // measured by another program: drawn as a square
  Tradeoff tradeoff;
};

struct TradeoffAxis {
  std::string title;      // "decode, tokens/s"
  double per_unit = 1.0;  // figures in one unit of the axis
  bool more_is_better = false;
};

// Adds the plot. Points that no other is as good as in both figures are filled and joined by a line.
void add_tradeoff_plot(Markup& page, const Caption& caption, const std::vector<PlotPoint>& points,
                       const TradeoffAxis& axis);

}  // namespace pare
