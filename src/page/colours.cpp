#include "page/colours.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

namespace pare {
namespace {

using Rgb = std::array<int, 3>;

constexpr const char* kCategories[] = {"#0072B2", "#E69F00", "#009E73", "#CC79A7",
                                       "#56B4E9", "#D55E00", "#F0E442"};
// Colours of cividis at 0, 1/4, 1/2, 3/4 and 1.
constexpr Rgb kRamp[] = {{0, 32, 77}, {65, 77, 107}, {124, 123, 120}, {188, 175, 111}, {255, 234, 70}};

}  // namespace

std::string category_colour(size_t index) { return kCategories[index % std::size(kCategories)]; }

std::string ramp_colour(double share) {
  constexpr double kSteps = std::size(kRamp) - 1;
  const double place = std::clamp(share, 0.0, 1.0) * kSteps;
  const auto step = std::min(static_cast<size_t>(place), std::size(kRamp) - 2);
  const double t = place - static_cast<double>(step);
  Rgb mixed = {};
  for (size_t i = 0; i < mixed.size(); ++i)
    mixed[i] = static_cast<int>(std::lround((1.0 - t) * kRamp[step][i] + t * kRamp[step + 1][i]));
  return fmt::format("#{:02X}{:02X}{:02X}", mixed[0], mixed[1], mixed[2]);
}

std::string ink_on(const std::string& colour) {
  const auto part = [&](size_t at) { return std::stoi(colour.substr(at, 2), nullptr, 16); };
  const int brightness = (299 * part(1) + 587 * part(3) + 114 * part(5)) / 1000;
  return brightness > 127 ? "#000000" : "#FFFFFF";
}

}  // namespace pare
