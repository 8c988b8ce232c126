#include "page/axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace pare {
namespace {

constexpr double kTicks = 5.0;  // about so many steps

// Returns 1, 2 or 5 times a power of ten that is not below `value`.
double round_step(double value) {
  const double power = std::pow(10.0, std::floor(std::log10(value)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (value <= factor * power * (1.0 + 1e-9)) return factor * power;
  return 10.0 * power;
}

}  // namespace

LinearAxis::LinearAxis(double largest)
    : step_(round_step(largest / kTicks)), end_(step_ * std::ceil(largest / step_ - 1e-9)) {}

std::vector<Tick> LinearAxis::ticks() const {
  std::vector<Tick> ticks;
  const auto count = static_cast<int>(std::lround(end_ / step_));
  for (int i = 0; i <= count; ++i) ticks.push_back({i * step_, fmt::format("{:g}", i * step_)});
  return ticks;
}

LogAxis::LogAxis(const std::vector<double>& values, int most_decades) {
  double least = 0.0;
  double most = 0.0;
  for (const double value : values) {
    if (!(value > 0.0)) continue;
    least = least == 0.0 ? value : std::min(least, value);
    most = std::max(most, value);
  }
  if (most == 0.0) return;
  last_ = static_cast<int>(std::ceil(std::log10(most) - 1e-9));
  first_ = std::max(static_cast<int>(std::floor(std::log10(least) + 1e-9)), last_ - most_decades);
  if (first_ == last_) --first_;
}

bool LogAxis::covers(double value) const { return value >= std::pow(10.0, first_) * (1.0 - 1e-9); }

double LogAxis::place(double value) const {
  if (!covers(value)) return 0.0;
  return std::clamp((std::log10(value) - first_) / (last_ - first_), 0.0, 1.0);
}

std::vector<Tick> LogAxis::ticks() const {
  std::vector<Tick> ticks;
  const int every = std::max(1, (last_ - first_ + 5) / 6);
  for (int power = first_; power <= last_; power += every)
    ticks.push_back({std::pow(10.0, power), fmt::format("{:g}", std::pow(10.0, power))});
  return ticks;
}

}  // namespace pare
