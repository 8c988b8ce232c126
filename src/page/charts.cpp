#include "page/charts.h"

#include <fmt/format.h>

#include <algorithm>

#include "page/axis.h"
#include "page/colours.h"

namespace pare {
namespace {

constexpr double kWidth = 960.0;
constexpr double kNames = 104.0;  // room for the names of rows
constexpr double kRowHeight = 20.0;

double column_width(size_t columns) {
  return std::min(28.0, (kWidth - kNames - 10.0) / static_cast<double>(std::max<size_t>(columns, 1)));
}

// Adds the numbers of layers below a row of columns.
void add_layer_numbers(Markup& page, size_t layers, double width, double y) {
  const auto step = static_cast<size_t>(layer_label_step(width));
  for (size_t i = 0; i < layers; i += step)
    add_label(page, kNames + (static_cast<double>(i) + 0.5) * width, y, std::to_string(i), "middle");
  add_label(page, kNames - 6.0, y, "layer", "end");
}

size_t widest(const std::vector<HeatRow>& rows) {
  size_t columns = 0;
  for (const HeatRow& row : rows) columns = std::max(columns, row.cells.size());
  return columns;
}

void add_heat_table(Markup& page, const std::vector<HeatRow>& rows, size_t layers) {
  std::vector<std::string> header = {"layer"};
  for (const HeatRow& row : rows) header.push_back(row.name);
  std::vector<std::vector<std::string>> lines;
  for (size_t layer = 0; layer < layers; ++layer) {
    lines.push_back({std::to_string(layer)});
    for (const HeatRow& row : rows) lines.back().push_back(row.cells[layer] ? row.cells[layer]->value : "");
  }
  add_folded_table(page, header, lines);
}

double total(const Bar& bar) {
  double sum = 0.0;
  for (const BarPart& segment : bar.segments) sum += segment.size;
  return sum;
}

double largest_total(const std::vector<Bar>& bars) {
  double largest = 0.0;
  for (const Bar& bar : bars) largest = std::max(largest, total(bar));
  return largest > 0.0 ? largest : 1.0;
}

std::string tip_of(const Bar& bar, const BarPart& segment) {
  return fmt::format("{}, {}: {}", bar.name, segment.name, segment.value);
}

}  // namespace

void add_heat(Markup& page, const Caption& caption, const std::vector<HeatRow>& rows) {
  constexpr double kTop = 4.0;
  constexpr double kMarkWidth = 9.0;
  const size_t layers = widest(rows);
  const double width = column_width(layers);
  const double bottom = kTop + kRowHeight * static_cast<double>(rows.size());
  open_figure(page, kNames + width * static_cast<double>(layers) + 10.0, bottom + 22.0, caption.title,
              caption.description);
  for (size_t r = 0; r < rows.size(); ++r) {
    const double y = kTop + kRowHeight * static_cast<double>(r);
    add_label(page, kNames - 6.0, y + 14.0, rows[r].name, "end");
    for (size_t layer = 0; layer < layers; ++layer) {
      const std::optional<HeatCell>& cell = rows[r].cells[layer];
      if (!cell) continue;
      const double x = kNames + width * static_cast<double>(layer);
      add_box(page, x, y, width - 1.0, kRowHeight - 1.0, cell->colour,
              fmt::format("layer {}, {}: {}", layer, rows[r].name, cell->value));
      if (cell->mark.empty() || width < kMarkWidth) continue;
      page.element("text", cell->mark,
                   {{"x", at(x + 0.5 * (width - 1.0))},
                    {"y", at(y + 14.0)},
                    {"text-anchor", "middle"},
                    {"class", "mark"},
                    {"fill", ink_on(cell->colour)}});
    }
  }
  add_layer_numbers(page, layers, width, bottom + 14.0);
  close_figure(page, caption.title);
  add_heat_table(page, rows, layers);
}

void add_bars(Markup& page, const Caption& caption, const std::vector<Bar>& bars) {
  constexpr double kHeight = 30.0;
  constexpr double kStep = 52.0;
  constexpr double kLetter = 6.6;  // about the width of a letter
  const double scale = (kWidth - 4.0) / largest_total(bars);
  open_figure(page, kWidth, kStep * static_cast<double>(bars.size()), caption.title, caption.description);
  for (size_t b = 0; b < bars.size(); ++b) {
    const double top = kStep * static_cast<double>(b);
    add_label(page, 0.0, top + 13.0, bars[b].name);
    double x = 0.0;
    for (const BarPart& segment : bars[b].segments) {
      const double width = segment.size * scale;
      add_box(page, x, top + 19.0, std::max(width - 1.0, 0.3), kHeight, segment.colour,
              tip_of(bars[b], segment));
      if (width > kLetter * static_cast<double>(segment.name.size()) + 6.0)
        page.element("text", segment.name,
                     {{"x", at(x + 0.5 * width)},
                      {"y", at(top + 38.0)},
                      {"text-anchor", "middle"},
                      {"class", "mark"},
                      {"fill", ink_on(segment.colour)}});
      x += width;
    }
  }
  close_figure(page, caption.title);
}

void add_columns(Markup& page, const Caption& caption, const std::vector<Bar>& layers,
                 const std::string& unit, double per_unit) {
  constexpr double kHeight = 150.0;
  constexpr double kTop = 22.0;
  const LinearAxis axis(largest_total(layers) / per_unit);
  const double width = column_width(layers.size());
  const double right = kNames + width * static_cast<double>(layers.size());
  open_figure(page, right + 10.0, kTop + kHeight + 24.0, caption.title, caption.description);
  add_label(page, kNames - 6.0, 11.0, unit, "end");
  for (const Tick& tick : axis.ticks()) {
    const double y = kTop + kHeight * (1.0 - axis.place(tick.value));
    add_line(page, kNames, y, right, y, "grid");
    add_label(page, kNames - 6.0, y + 4.0, tick.label, "end");
  }
  for (size_t i = 0; i < layers.size(); ++i) {
    double below = 0.0;
    for (const BarPart& segment : layers[i].segments) {
      const double height = kHeight * axis.place(segment.size / per_unit);
      below += height;
      if (segment.size > 0.0)
        add_box(page, kNames + width * static_cast<double>(i) + 0.5, kTop + kHeight - below, width - 1.0,
                height, segment.colour, tip_of(layers[i], segment));
    }
  }
  add_layer_numbers(page, layers.size(), width, kTop + kHeight + 15.0);
  close_figure(page, caption.title);
}

void add_curves(Markup& page, const Caption& caption, const std::vector<Curve>& curves) {
  constexpr double kPlotWidth = 480.0;
  constexpr double kHeight = 220.0;
  constexpr double kTop = 10.0;
  constexpr int kMostDecades = 8;  // eigenvalues below are rounding
  std::vector<double> all;
  for (const Curve& curve : curves) all.insert(all.end(), curve.values.begin(), curve.values.end());
  const LogAxis axis(all, kMostDecades);
  const auto y_of = [&](double value) { return kTop + kHeight * (1.0 - axis.place(value)); };
  open_figure(page, kNames + kPlotWidth + 20.0, kTop + kHeight + 44.0, caption.title, caption.description);
  for (const Tick& tick : axis.ticks()) {
    add_line(page, kNames, y_of(tick.value), kNames + kPlotWidth, y_of(tick.value), "grid");
    add_label(page, kNames - 6.0, y_of(tick.value) + 4.0, tick.label, "end");
  }
  for (int quarter = 0; quarter <= 4; ++quarter)
    add_label(page, kNames + 0.25 * quarter * kPlotWidth, kTop + kHeight + 16.0,
              fmt::format("{} %", 25 * quarter), "middle");
  add_label(page, kNames + 0.5 * kPlotWidth, kTop + kHeight + 36.0, "rank, of all units", "middle");
  for (const Curve& curve : curves) {
    if (curve.values.size() < 2) continue;
    const auto last = static_cast<double>(curve.values.size() - 1);
    std::string points;
    for (size_t i = 0; i < curve.values.size(); ++i)
      points +=
          fmt::format("{}{},{}", i == 0 ? "" : " ", at(kNames + kPlotWidth * static_cast<double>(i) / last),
                      at(y_of(curve.values[i])));
    page.open("polyline",
              {{"points", points}, {"fill", "none"}, {"stroke", curve.colour}, {"class", "curve"}});
    page.element("title", curve.name);
    page.close();
    const double place = std::clamp(curve.end, 0.0, 1.0) * last;
    const auto before = std::min(static_cast<size_t>(place), curve.values.size() - 2);
    const double t = place - static_cast<double>(before);
    page.open("circle",
              {{"cx", at(kNames + kPlotWidth * curve.end)},
               {"cy", at((1.0 - t) * y_of(curve.values[before]) + t * y_of(curve.values[before + 1]))},
               {"r", "3"},
               {"fill", curve.colour},
               {"class", "point"}});
    page.element("title", curve.name);
    page.close();
  }
  close_figure(page, caption.title);
}

}  // namespace pare
