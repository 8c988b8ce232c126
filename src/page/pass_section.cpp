#include "page/pass_section.h"

#include <algorithm>
#include <cmath>

#include "page/colours.h"
#include "page/role_grid.h"

namespace pare {
namespace {

constexpr const char* kCutColour = "#8888884D";

// A kind of stream with a width in every layer.
struct Stream {
  std::string name;
  std::string unit;
  std::optional<Role> role;  // role in the names of its spectra; none: the residual stream at the norms
  int64_t BlockShape::*width;
};

const Stream kStreams[] = {
    {"Hidden streams", "neurons", Role::kDown, &BlockShape::intermediate_size},
    {"Value streams", "values a KV head", Role::kAttentionOutput, &BlockShape::value_head_dim},
    {"Residual stream", "components", std::nullopt, &BlockShape::input_width},
};

bool is_of(const Stream& stream, const StreamSpectrum& spectrum) {
  if (stream.role) return spectrum.block >= 0 && spectrum.role == stream.role;
  return spectrum.block < 0 || spectrum.role == Role::kAttentionNorm || spectrum.role == Role::kMlpNorm;
}

std::vector<const StreamSpectrum*> spectra_of(const Stream& stream, const ModelFacts& facts) {
  std::vector<const StreamSpectrum*> found;
  for (const StreamSpectrum& spectrum : facts.spectra)
    if (is_of(stream, spectrum)) found.push_back(&spectrum);
  return found;
}

// Returns the width before the cut: that of the layer's spectrum, or of the whole model's, or the width now.
int64_t width_before(const std::vector<const StreamSpectrum*>& spectra, int64_t block, int64_t now) {
  int64_t before = now;
  for (const StreamSpectrum* spectrum : spectra)
    if (spectrum->block == block || spectrum->block < 0) before = std::max(before, spectrum->width_before);
  return before;
}

void add_widths(Markup& page, const ModelFacts& facts, const Stream& stream,
                const std::vector<const StreamSpectrum*>& spectra) {
  std::vector<Bar> layers;
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < facts.config.blocks.size(); ++i) {
    const int64_t now = facts.config.blocks[i].*stream.width;
    const int64_t before = width_before(spectra, static_cast<int64_t>(i), now);
    layers.push_back(
        {fmt::format("layer {}", i),
         {{"kept", category_colour(0), static_cast<double>(now), std::to_string(now)},
          {"cut", kCutColour, static_cast<double>(before - now), std::to_string(before - now)}}});
    rows.push_back({std::to_string(i), std::to_string(now), std::to_string(before)});
  }
  add_columns(page,
              {stream.name + ": widths kept by layer",
               "A column for each layer: below what is kept, above it, paler, what was cut."},
              layers, stream.unit, 1.0);
  add_keys(page, {{category_colour(0), "kept"}, {kCutColour, "cut"}});
  add_folded_table(page, {"layer", "kept", "of"}, rows);
}

void add_spectra(Markup& page, const ModelFacts& facts, const Stream& stream,
                 const std::vector<const StreamSpectrum*>& spectra) {
  const auto layers = static_cast<double>(std::max<size_t>(facts.config.blocks.size(), 2) - 1);
  std::vector<Curve> curves;
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> header = {"read by", "kept", "of"};
  for (const StreamSpectrum* spectrum : spectra) {
    const double depth = spectrum->block < 0 ? 1.0 : static_cast<double>(spectrum->block) / layers;
    const double kept = spectrum->width_before == 0 ? 1.0
                                                    : static_cast<double>(spectrum->width_after) /
                                                          static_cast<double>(spectrum->width_before);
    curves.push_back(
        {fmt::format("{}: {} of {} kept", spectrum->name, spectrum->width_after, spectrum->width_before),
         ramp_colour(depth), spectrum->energies, kept});
    rows.push_back(
        {spectrum->name, std::to_string(spectrum->width_after), std::to_string(spectrum->width_before)});
    for (size_t i = 0; i < spectrum->energies.size(); ++i)
      rows.back().push_back(fmt::format("{:.4g}", spectrum->energies[i]));
  }
  size_t parts = 0;
  for (const auto& row : rows) parts = std::max(parts, row.size());
  const size_t points = parts - header.size();
  for (size_t i = 0; i < points; ++i)
    header.push_back(points < 2 ? "energy"
                                : fmt::format("{:.4g} %", 100.0 * static_cast<double>(i) /
                                                              static_cast<double>(points - 1)));
  for (auto& row : rows) row.resize(parts);
  add_curves(
      page,
      {stream.name + ": energy of the units by rank, relative to the largest",
       "A falling curve for each cut stream, dark in the first layer and yellow in the last. The point on "
       "a curve is the last unit that was kept."},
      curves);
  add_folded_table(page, header, rows);
}

bool differs(const ModelFacts& facts, const Stream& stream) {
  for (const BlockShape& block : facts.config.blocks)
    if (block.*stream.width != facts.config.blocks.front().*stream.width) return true;
  return false;
}

const char* title_of(const std::string& kind) {
  if (kind == "errors") return "Slicing: relative error of the linear that reads the stream";
  if (kind == "sparsity") return "Sparsity: relative error of each linear";
  if (kind == "formats")
    return "Budget: KL in nats a token that the format of each linear was foreseen to cost";
  return "Rounding: relative error of each linear";
}

// Scale of the colours: errors from the least above 0 to the largest, on a logarithm.
struct ErrorScale {
  double least = 0.0;
  double most = 0.0;

  void add(double error) {
    if (!(error > 0.0)) return;
    least = least == 0.0 ? error : std::min(least, error);
    most = std::max(most, error);
  }
  std::string colour(double error) const {
    if (!(error > 0.0) || most == least) return ramp_colour(0.0);
    return ramp_colour(std::log(error / least) / std::log(most / least));
  }
};

void add_error_map(Markup& page, const ModelFacts& facts, const ErrorList& list) {
  const std::vector<Role> roles = layer_roles(facts);
  std::vector<HeatRow> rows = empty_rows(roles, facts);
  ErrorScale scale;
  for (const PlacedError& error : list.entries) scale.add(error.amount);
  std::vector<std::vector<std::string>> others;
  for (const PlacedError& error : list.entries) {
    const auto row =
        error.role && error.block >= 0 ? std::find(roles.begin(), roles.end(), *error.role) : roles.end();
    if (row == roles.end()) {
      others.push_back({error.name, fmt::format("{}{:.4g}", error.note, error.amount)});
      continue;
    }
    rows[static_cast<size_t>(row - roles.begin())].cells[static_cast<size_t>(error.block)] =
        HeatCell{scale.colour(error.amount), "", fmt::format("{}{:.4g}", error.note, error.amount)};
  }
  // Roles that the pass left alone have no row.
  rows.erase(std::remove_if(rows.begin(), rows.end(),
                            [](const HeatRow& row) {
                              return std::none_of(row.cells.begin(), row.cells.end(),
                                                  [](const auto& cell) { return cell.has_value(); });
                            }),
             rows.end());
  if (!rows.empty()) {
    add_heat(page,
             {title_of(list.kind),
              "A map of layers (across) and roles (down): dark blue is a small error, yellow a large one."},
             rows);
    std::vector<Key> keys;
    for (int step = 0; step <= 4; ++step)
      keys.push_back({ramp_colour(0.25 * step),
                      fmt::format("{:.3g}", scale.least * std::pow(scale.most / std::max(scale.least, 1e-300),
                                                                   0.25 * step))});
    if (scale.most > scale.least) add_keys(page, keys);
  }
  if (!others.empty())
    add_table(page, {"outside the layers", list.kind == "formats" ? "cost" : "relative error"}, others);
}

}  // namespace

void add_slices(Markup& page, const ModelFacts& facts) {
  bool has_title = false;
  for (const Stream& stream : kStreams) {
    const std::vector<const StreamSpectrum*> spectra = spectra_of(stream, facts);
    if (spectra.empty() && !differs(facts, stream)) continue;
    if (!has_title) page.element("h3", "Streams");
    has_title = true;
    add_widths(page, facts, stream, spectra);
    if (!spectra.empty()) add_spectra(page, facts, stream, spectra);
  }
}

void add_errors(Markup& page, const ModelFacts& facts) {
  if (facts.errors.empty()) return;
  page.element("h3", "Errors");
  page.element("p", "An error is ‖Y − Y′‖² / ‖Y‖² of a linear's outputs on the calibration text.");
  for (const ErrorList& list : facts.errors) add_error_map(page, facts, list);
}

}  // namespace pare
