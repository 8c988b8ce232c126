// Figures of layers: heat maps, stacked bars and columns, curves.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "page/figure.h"

namespace pare {

// Text of a figure: its title, and what is seen in words.
struct Caption {
  std::string title;
  std::string description;
};

struct HeatCell {
  std::string colour;
  std::string mark;  // one or two characters, for those who do not see the colour
  std::string value;
};
struct HeatRow {
  std::string name;
  std::vector<std::optional<HeatCell>> cells;  // by layer; nothing: the layer has no such matrix
};
// Adds a map of roles over layers, and the same as a table of layers.
void add_heat(Markup& page, const Caption& caption, const std::vector<HeatRow>& rows);

// Part of a bar or column.
struct BarPart {
  std::string name;
  std::string colour;
  double size = 0.0;
  std::string value;
};
struct Bar {
  std::string name;
  std::vector<BarPart> segments;
};
// Adds horizontal bars of one scale.
void add_bars(Markup& page, const Caption& caption, const std::vector<Bar>& bars);
// Adds a column for each layer. `unit`: what the axis counts, in `per_unit` of the segments' sizes.
void add_columns(Markup& page, const Caption& caption, const std::vector<Bar>& layers,
                 const std::string& unit, double per_unit);

// A curve that falls from 1, and the share of the horizontal axis at which something ends.
struct Curve {
  std::string name;
  std::string colour;
  std::vector<double> values;  // at equal distances
  double end = 1.0;
};
// Adds falling curves over the share of all units, on a logarithmic axis, with a point where each ends.
void add_curves(Markup& page, const Caption& caption, const std::vector<Curve>& curves);

}  // namespace pare
