#include "page/tradeoff_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "page/axis.h"
#include "text/unicode/utf8.h"

namespace pare {
namespace {

constexpr double kLeft = 58.0;
constexpr double kTop = 12.0;
constexpr double kPlotWidth = 420.0;
constexpr double kPlotHeight = 260.0;
constexpr double kZeroBand = 34.0;  // room for points without loss, which a logarithm has no place for
constexpr double kRight = 28.0;     // room for names beside the last points
constexpr double kRadius = 9.0;

struct Box {
  double x, y, width, height;
  bool meets(const Box& o) const {
    return x < o.x + o.width && o.x < x + width && y < o.y + o.height && o.y < y + height;
  }
};

struct NamePlace {
  double x, y;
  const char* anchor;
};

// Finds places for names beside their points: to the right, left, below, above, in this order.
class NamePlaces {
 public:
  // Takes the room of all points first.
  explicit NamePlaces(const std::vector<std::pair<double, double>>& centres) {
    for (const auto& [x, y] : centres)
      taken_.push_back({x - kRadius, y - kRadius, 2.0 * kRadius, 2.0 * kRadius});
  }

  // Returns the place of a name about `width` wide beside a point; none where everything is taken.
  std::optional<NamePlace> place(double x, double y, double width) {
    constexpr double kHeight = 13.0;
    constexpr double kGap = kRadius + 3.0;
    constexpr double kDown = kGap + 0.5 * kHeight;
    const NamePlace candidates[] = {
        {x + kGap, y, "start"}, {x - kGap, y, "end"}, {x, y + kDown, "middle"}, {x, y - kDown, "middle"}};
    for (const NamePlace& place : candidates) {
      const double left = place.x - (place.anchor[0] == 's'   ? 0.0
                                     : place.anchor[0] == 'e' ? width
                                                              : 0.5 * width);
      const Box box = {left, place.y - 0.5 * kHeight, width, kHeight};
      if (box.x < kLeft || box.x + width > kLeft + kPlotWidth + kRight || box.y < 0.0) continue;
      if (std::any_of(taken_.begin(), taken_.end(), [&](const Box& other) { return box.meets(other); }))
        continue;
      taken_.push_back(box);
      return place;
    }
    return std::nullopt;
  }

 private:
  std::vector<Box> taken_;
};

// Returns a name of at most 28 bytes.
std::string shortened(const std::string& name) {
  constexpr size_t kLongest = 28;
  if (name.size() <= kLongest) return name;
  const std::string begin = name.substr(0, kLongest - 3);
  return begin.substr(0, begin.size() - truncated_tail(begin)) + "...";
}

std::string tip_of(const PlotPoint& point, const TradeoffAxis& axis, bool on_front) {
  return fmt::format("{}: {}: KL {:.4g}; {} {:.4g}{}", point.number, point.name, point.tradeoff.loss,
                     axis.title, point.tradeoff.figure / axis.per_unit,
                     on_front ? "; nothing is better in both" : "");
}

void add_point(Markup& page, const PlotPoint& point, double x, double y, bool on_front,
               const std::string& tip) {
  const std::string style = on_front ? "point front" : "point";
  if (point.is_foreign)
    page.open("rect", {{"x", at(x - kRadius)},
                       {"y", at(y - kRadius)},
                       {"width", at(2.0 * kRadius)},
                       {"height", at(2.0 * kRadius)},
                       {"class", style}});
  else
    page.open("circle", {{"cx", at(x)}, {"cy", at(y)}, {"r", at(kRadius)}, {"class", style}});
  page.element("title", tip);
  page.close();
  add_label(page, x, y + 3.5, std::to_string(point.number), "middle", on_front ? "number front" : "number");
}

}  // namespace

void add_tradeoff_plot(Markup& page, const Caption& caption, const std::vector<PlotPoint>& points,
                       const TradeoffAxis& axis) {
  std::vector<Tradeoff> tradeoffs;
  std::vector<double> losses;
  double largest = 0.0;
  for (const PlotPoint& point : points) {
    tradeoffs.push_back(point.tradeoff);
    losses.push_back(point.tradeoff.loss);
    largest = std::max(largest, point.tradeoff.figure / axis.per_unit);
  }
  const LinearAxis across(largest);
  const LogAxis up(losses);
  const bool has_zero =
      std::any_of(losses.begin(), losses.end(), [&](double loss) { return !up.covers(loss); });
  const double bottom = kTop + kPlotHeight;
  const auto x_of = [&](double figure) { return kLeft + kPlotWidth * across.place(figure / axis.per_unit); };
  const auto y_of = [&](double loss) {
    if (!up.covers(loss)) return bottom + kZeroBand;
    return bottom - kPlotHeight * up.place(loss);
  };
  const double end = bottom + (has_zero ? kZeroBand + 14.0 : 0.0);
  open_figure(page, kLeft + kPlotWidth + kRight, end + 44.0, caption.title, caption.description);
  for (const Tick& tick : up.ticks()) {
    add_line(page, kLeft, y_of(tick.value), kLeft + kPlotWidth, y_of(tick.value), "grid");
    add_label(page, kLeft - 6.0, y_of(tick.value) + 4.0, tick.label, "end");
  }
  if (has_zero) {
    add_line(page, kLeft, y_of(0.0), kLeft + kPlotWidth, y_of(0.0), "grid");
    add_label(page, kLeft - 6.0, y_of(0.0) + 4.0, "0", "end");
  }
  for (const Tick& tick : across.ticks()) {
    const double x = kLeft + kPlotWidth * across.place(tick.value);
    add_line(page, x, kTop, x, end, "grid");
    add_label(page, x, end + 16.0, tick.label, "middle");
  }
  add_label(page, kLeft + 0.5 * kPlotWidth, end + 36.0, axis.title, "middle");
  add_label(page, 4.0, kTop - 1.0, "KL");

  const std::vector<size_t> front = pareto_front(tradeoffs, axis.more_is_better);
  std::string line;
  for (const size_t i : front)
    line += fmt::format("{}{},{}", line.empty() ? "" : " ", at(x_of(tradeoffs[i].figure)),
                        at(y_of(tradeoffs[i].loss)));
  page.empty("polyline", {{"points", line}, {"class", "frontline"}});
  std::vector<std::pair<double, double>> centres;
  for (const Tradeoff& t : tradeoffs) centres.emplace_back(x_of(t.figure), y_of(t.loss));
  NamePlaces places(centres);
  for (size_t i = 0; i < points.size(); ++i) {
    const bool on_front = std::find(front.begin(), front.end(), i) != front.end();
    const auto [x, y] = centres[i];
    add_point(page, points[i], x, y, on_front, tip_of(points[i], axis, on_front));
    constexpr double kLetter = 6.2;
    const std::string name = shortened(points[i].name);
    if (const auto place = places.place(x, y, kLetter * static_cast<double>(name.size())))
      add_label(page, place->x, place->y + 4.0, name, place->anchor);
  }
  close_figure(page, caption.title);
}

}  // namespace pare
