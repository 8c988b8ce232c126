#include "page/comparison_section.h"

#include <algorithm>

#include "base/quantities.h"
#include "page/tradeoff_plot.h"

namespace pare {
namespace {

template <typename T>
std::string cell(fmt::format_string<const T&> format, const std::optional<T>& value) {
  return value ? fmt::format(format, *value) : "";
}

std::vector<std::string> row_cells(size_t number, const MeasuredRow& row, const ModelFacts* facts) {
  const auto percent = [](const std::optional<double>& share) {
    return share ? fmt::format("{:.1f} %", 100.0 * *share) : "";
  };
  std::vector<std::string> cells = {fmt::format(
      "{}. {}{}", number, row.name, row.program.empty() ? "" : fmt::format(" ({})", row.program))};
  if (facts == nullptr) {
    cells.insert(cells.end(), {"", row.bytes ? format_bytes(*row.bytes) : "", "", ""});
  } else {
    cells.push_back(format_count(facts->size.parameters));
    cells.push_back(format_bytes(facts->size.bytes));
    cells.push_back(fmt::format("{:.2f}", bits_per_value(facts->size.bytes, facts->size.parameters)));
    cells.push_back(facts->bytes_before && *facts->bytes_before > 0
                        ? fmt::format("{:.1f} %", 100.0 * static_cast<double>(facts->size.bytes) /
                                                      static_cast<double>(*facts->bytes_before))
                        : "");
  }
  cells.insert(cells.end(),
               {cell("{:.3f}", row.perplexity), cell("{:.4f}", row.kl), percent(row.top1),
                percent(row.tasks_mean), cell("{:.1f}", row.decode), cell("{:.0f}", row.prefill)});
  return cells;
}

// Takes away the columns in which no row has a figure.
void drop_empty_columns(std::vector<std::string>& header, std::vector<std::vector<std::string>>& rows) {
  for (size_t c = header.size(); c-- > 0;) {
    if (std::any_of(rows.begin(), rows.end(), [&](const auto& row) { return !row[c].empty(); })) continue;
    header.erase(header.begin() + static_cast<std::ptrdiff_t>(c));
    for (auto& row : rows) row.erase(row.begin() + static_cast<std::ptrdiff_t>(c));
  }
}

// Returns the largest of B, KB, MB, … of which the largest figure has one or more.
std::pair<double, const char*> byte_unit(const std::vector<PlotPoint>& points) {
  constexpr std::pair<double, const char*> kUnits[] = {{1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}, {1e3, "KB"}};
  for (const auto& unit : kUnits)
    for (const PlotPoint& point : points)
      if (point.tradeoff.figure >= unit.first) return unit;
  return {1.0, "B"};
}

// Returns a point for each row that has both figures.
template <typename Figure>
std::vector<PlotPoint> points_of(const Measurements& measurements, Figure figure) {
  std::vector<PlotPoint> points;
  for (size_t i = 0; i < measurements.rows.size(); ++i) {
    const MeasuredRow& row = measurements.rows[i];
    const std::optional<double> value = figure(row);
    if (value && row.kl) points.push_back({i + 1, row.name, !row.is_given, {*value, *row.kl}});
  }
  return points;
}

void add_plot(Markup& page, const std::vector<PlotPoint>& points, const std::string& title,
              const TradeoffAxis& axis) {
  if (points.empty()) return;
  const std::string better = axis.more_is_better ? "to the right" : "to the left";
  add_tradeoff_plot(
      page,
      {title, fmt::format("Numbered points of {} models: lower is nearer to the baseline, {} is "
                          "better. The table above has the figures.",
                          points.size(), better)},
      points, axis);
}

}  // namespace

void add_comparison(Markup& page, const std::vector<ModelFacts>& models, const Measurements& measurements) {
  page.open("section");
  page.element("h2", "Side by side");
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < measurements.rows.size(); ++i)
    rows.push_back(row_cells(i + 1, measurements.rows[i], i < models.size() ? &models[i] : nullptr));
  std::vector<std::string> header = {"model",
                                     "parameters",
                                     "bytes",
                                     "bits each",
                                     "of its input",
                                     "perplexity",
                                     "KL, nats a token",
                                     "top-1 agreement",
                                     "mean of tasks",
                                     "decode, tokens/s",
                                     "prefill, tokens/s"};
  drop_empty_columns(header, rows);
  add_table(page, header, rows);
  if (!measurements.baseline.empty())
    page.element("p", fmt::format("KL is the distance from {}.", measurements.baseline));
  if (!measurements.quality.empty()) page.element("p", fmt::format("Quality: {}.", measurements.quality));
  if (!measurements.speed.empty()) page.element("p", fmt::format("Speed: {}.", measurements.speed));

  const auto bytes = points_of(measurements, [](const MeasuredRow& row) {
    return row.bytes ? std::optional(static_cast<double>(*row.bytes)) : std::nullopt;
  });
  const auto decode = points_of(measurements, [](const MeasuredRow& row) { return row.decode; });
  const auto prefill = points_of(measurements, [](const MeasuredRow& row) { return row.prefill; });
  if (!bytes.empty()) {
    page.element(
        "p",
        "In the plots, no other model is at least as good in both figures as those on the line. Their "
        "points are filled. Squares are rows of the files that are none of the models of this page.");
    page.open("div", {{"class", "plots"}});
    const auto [per_unit, unit] = byte_unit(bytes);
    add_plot(page, bytes, "KL over bytes", {fmt::format("bytes, {}", unit), per_unit, false});
    add_plot(page, decode, "KL over decode speed", {"decode, tokens/s", 1.0, true});
    add_plot(page, prefill, "KL over prefill speed", {"prefill, tokens/s", 1.0, true});
    page.close();
  }
  page.close();
}

}  // namespace pare
