#include "tensor/row_grid.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/bf16.h"
#include "base/error.h"

namespace pare {
namespace {

constexpr int64_t kMaxBlock = 32;
constexpr int64_t kLanes = 8;  // values that are rounded side by side; they divide a block
// Ranges that are tried for codes of few bits, in fortieths of that of the values: 0.55 to 1.10 times it.
// Codes of more bits lose more by a cut range than they gain.
constexpr int kLargestRange = 44;
constexpr int kSmallestRange = 22;
constexpr int kSmallestOfManyBits = 36;
constexpr int kFewBits = 4;
constexpr double kWhole = 40.0;
constexpr double kLargestHalf = 65504.0;

// Returns the float that an encoding stores for a factor.
double stored_half(double value) {
  return static_cast<double>(
      to_f32(to_f16(static_cast<float>(std::clamp(value, -kLargestHalf, kLargestHalf)))));
}

double inverse_of(double scale) {
  const double inverse = 1.0 / scale;
  return std::isfinite(inverse) ? inverse : 0.0;
}

bool in_order(const CodeLayout& layout) {
  for (int32_t i = 1; i < 1 << layout.bits; ++i)
    if (layout.levels[i] <= layout.levels[i - 1]) return false;
  return true;
}

}  // namespace

// Sums over a block that say how well levels L fit values w: Σ h·w·L and the like.
struct RowGrid::Sums {
  double h = 0.0;
  double w = 0.0;
  double levels = 0.0;
  double products = 0.0;  // with values times levels
  double squares = 0.0;   // with levels times levels
};

bool can_round_to(Encoding encoding) {
  const CodeLayout* layout = code_layout(encoding);
  return layout != nullptr && in_order(*layout);
}

RowGrid::RowGrid(Encoding encoding, int64_t cols)
    : layout_(*code_layout(encoding)),
      has_minima_(layout_.largest_minimum > 0),
      affine_(true),
      last_((1 << layout_.bits) - 1),
      per_superblock_((layout_.superblock == 0 ? cols : layout_.superblock) / layout_.block),
      superblock_(layout_.superblock == 0 ? layout_.block : layout_.superblock) {
  PARE_CHECK(can_round_to(encoding) && cols % superblock_ == 0);
  for (int32_t i = 0; i < last_; ++i) {
    middles_.push_back((layout_.levels[i] + layout_.levels[i + 1]) / 2.0);
    affine_ = affine_ && layout_.levels[i + 1] - layout_.levels[i] == 1;
  }
  row_.resize(layout_, cols);
  scales_.resize(row_.scales.size());
  minima_.resize(row_.scales.size());
  fits_.resize(static_cast<size_t>(per_superblock_));
}

// Sets kLanes levels to those nearest to values in units of a level.
template <typename T>
void RowGrid::nearest_levels(const T* units, T* levels) const {
  const auto first = static_cast<T>(layout_.levels[0]);
  if (affine_) {
    // Adding and subtracting it rounds to nearest even.
    constexpr auto kRound = static_cast<T>(sizeof(T) == sizeof(double) ? 0x1.8p52 : 0x1.8p23);
    const auto last = static_cast<T>(layout_.levels[last_]);
    for (int64_t j = 0; j < kLanes; ++j) levels[j] = std::clamp((units[j] + kRound) - kRound, first, last);
    return;
  }
  for (int64_t j = 0; j < kLanes; ++j) levels[j] = first;
  for (int32_t k = 0; k < last_; ++k) {
    const auto middle = static_cast<T>(middles_[static_cast<size_t>(k)]);
    const auto step = static_cast<T>(layout_.levels[k + 1] - layout_.levels[k]);
    for (int64_t j = 0; j < kLanes; ++j) levels[j] += units[j] > middle ? step : T{0};
  }
}

// Sets `levels` to those nearest to the values of a block.
void RowGrid::round_levels(const double* w, const Fit& fit, double* levels) const {
  const double inverse = inverse_of(fit.scale);
  for (int64_t i = 0; i < layout_.block; i += kLanes) {
    double units[kLanes];
    for (int64_t j = 0; j < kLanes; ++j) units[j] = (w[i + j] - fit.minimum) * inverse;
    nearest_levels(units, levels + i);
  }
}

RowGrid::Sums RowGrid::sums_of(const double* w, const double* h, const double* levels) const {
  Sums sums;
  for (int64_t i = 0; i < layout_.block; ++i) {
    const double weighted = h[i] * levels[i];
    sums.h += h[i];
    sums.w += h[i] * w[i];
    sums.levels += weighted;
    sums.products += weighted * w[i];
    sums.squares += weighted * levels[i];
  }
  return sums;
}

// Finds the scale of a block without a minimum: of some ranges of either sign, the one whose levels leave the
// least error with the scale that is best for them. First every third range is tried, then those around the
// best one.
RowGrid::Fit RowGrid::fit_scale(const double* w, const double* h) const {
  double largest = 0.0;
  for (int64_t i = 0; i < layout_.block; ++i) largest = std::max(largest, std::abs(w[i]));
  const double unit = largest / -static_cast<double>(layout_.levels[0]);
  const double inverse = inverse_of(unit);
  std::array<float, kMaxBlock> units;  // values in units, which keeps the smallest ones in the range of f32
  std::array<float, kMaxBlock> importances;
  for (int64_t i = 0; i < layout_.block; ++i) {
    units[static_cast<size_t>(i)] = static_cast<float>(w[i] * inverse);
    importances[static_cast<size_t>(i)] = static_cast<float>(h[i]);
  }
  double gain = 0.0;  // the most that levels take off Σ h·w², with their best scale
  double scale = 0.0;
  int best = 0;
  double best_sign = 1.0;
  const auto attempt = [&](int range, double sign) {
    const Sums sums = unit_sums(units.data(), importances.data(), static_cast<float>(sign * kWhole / range));
    if (!(sums.products * sums.products > gain * sums.squares)) return;
    gain = sums.products * sums.products / sums.squares;
    scale = sums.products / sums.squares;
    best = range;
    best_sign = sign;
  };
  constexpr int kStep = 3;
  const int smallest = layout_.bits <= kFewBits ? kSmallestRange : kSmallestOfManyBits;
  for (int range = smallest; range <= kLargestRange; range += kStep)
    for (const double sign : {1.0, -1.0}) attempt(range, sign);
  const int middle = best;
  const double sign = best_sign;
  for (int range = middle - kStep + 1; middle > 0 && range < middle + kStep; ++range)
    if (range != middle) attempt(range, sign);
  return {scale * unit, 0.0};
}

// Returns the sums of products and squares for the levels nearest to `factor` times the values.
RowGrid::Sums RowGrid::unit_sums(const float* w, const float* h, float factor) const {
  float products[kLanes] = {};
  float squares[kLanes] = {};
  for (int64_t i = 0; i < layout_.block; i += kLanes) {
    float units[kLanes];
    float levels[kLanes];
    for (int64_t j = 0; j < kLanes; ++j) units[j] = w[i + j] * factor;
    nearest_levels(units, levels);
    for (int64_t j = 0; j < kLanes; ++j) {
      const float weighted = h[i + j] * levels[j];
      products[j] += weighted * w[i + j];
      squares[j] += weighted * levels[j];
    }
  }
  Sums sums;
  for (int64_t j = 0; j < kLanes; ++j) {
    sums.products += static_cast<double>(products[j]);
    sums.squares += static_cast<double>(squares[j]);
  }
  return sums;
}

// Finds scale and minimum of a block. Levels begin at 0.
RowGrid::Fit RowGrid::fit_range(const double* w, const double* h) const {
  double low = w[0];
  double high = w[0];
  for (int64_t i = 1; i < layout_.block; ++i) {
    low = std::min(low, w[i]);
    high = std::max(high, w[i]);
  }
  const bool signed_minimum = own_factors();  // superblocks have minima of one sign, not above zero
  if (!signed_minimum) low = std::min(low, 0.0);
  std::array<double, kMaxBlock> levels;
  Fit best = {0.0, signed_minimum ? (low + high) / 2.0 : low};
  double least = error(w, h, best);
  const int smallest = layout_.bits <= kFewBits ? kSmallestRange : kSmallestOfManyBits;
  for (int range = smallest; range <= kLargestRange; range += 2) {
    const double width = (high - low) * range / kWhole;
    Fit fit = {width / last_, signed_minimum ? (low + high - width) / 2.0 : low * range / kWhole};
    for (int round = 0; round < 2; ++round) {
      round_levels(w, fit, levels.data());
      const Sums sums = sums_of(w, h, levels.data());
      const double spread = sums.h * sums.squares - sums.levels * sums.levels;
      if (!(spread > 0.0)) break;
      fit.scale = (sums.h * sums.products - sums.w * sums.levels) / spread;
      fit.minimum = (sums.w - fit.scale * sums.levels) / sums.h;
      if (!signed_minimum && fit.minimum > 0.0) fit = {sums.products / sums.squares, 0.0};
      if (!(fit.scale > 0.0)) break;
      const double now = error(w, h, fit);
      if (now < least) {
        least = now;
        best = fit;
      }
    }
  }
  return best;
}

double RowGrid::error(const double* w, const double* h, const Fit& fit) const {
  std::array<double, kMaxBlock> levels;
  round_levels(w, fit, levels.data());
  double sum = 0.0;
  for (int64_t i = 0; i < layout_.block; ++i) {
    const double difference = w[i] - fit.minimum - fit.scale * levels[static_cast<size_t>(i)];
    sum += h[i] * difference * difference;
  }
  return sum;
}

// Sets the factors of a superblock so that the whole numbers reach the largest scale and minimum of its
// blocks.
void RowGrid::set_factors(int64_t superblock, const Fit* fits, int64_t count) {
  double scale = 0.0;
  double minimum = 0.0;
  for (int64_t i = 0; i < count; ++i) {
    scale = std::max(scale, std::abs(fits[i].scale));
    minimum = std::max(minimum, -fits[i].minimum);
  }
  const auto s = static_cast<size_t>(superblock);
  row_.factors[s] = static_cast<float>(stored_half(scale / layout_.largest_scale));
  if (has_minima_)
    row_.minimum_factors[s] = static_cast<float>(-stored_half(minimum / layout_.largest_minimum));
}

void RowGrid::update(int64_t block) {
  const auto b = static_cast<size_t>(block);
  const auto s = static_cast<size_t>(superblock_of(block));
  scales_[b] = static_cast<double>(row_.factors[s]) * row_.scales[b];
  if (has_minima_) minima_[b] = static_cast<double>(row_.minimum_factors[s]) * row_.minima[b];
}

double RowGrid::move_scale(int64_t block, double wanted) {
  const auto b = static_cast<size_t>(block);
  const auto s = static_cast<size_t>(superblock_of(block));
  if (own_factors()) {
    row_.factors[s] = static_cast<float>(stored_half(wanted));
  } else {
    const double nearest = std::nearbyint(wanted * inverse_of(static_cast<double>(row_.factors[s])));
    row_.scales[b] =
        static_cast<int16_t>(std::clamp<double>(nearest, layout_.least_scale, layout_.largest_scale));
  }
  update(block);
  return scales_[b];
}

double RowGrid::move_minimum(int64_t block, double wanted) {
  const auto b = static_cast<size_t>(block);
  const auto s = static_cast<size_t>(superblock_of(block));
  if (own_factors()) {
    row_.minimum_factors[s] = static_cast<float>(stored_half(wanted));
  } else {
    const double nearest = std::nearbyint(wanted * inverse_of(static_cast<double>(row_.minimum_factors[s])));
    row_.minima[b] = static_cast<int16_t>(std::clamp<double>(nearest, 0, layout_.largest_minimum));
  }
  update(block);
  return minima_[b];
}

void RowGrid::store(int64_t block, const Fit& fit) {
  move_scale(block, fit.scale);
  if (has_minima_) move_minimum(block, fit.minimum);
}

// Stores a scale and a minimum, or those beside them that leave less error.
void RowGrid::store_nearby(int64_t block, const double* w, const double* h, const Fit& fit) {
  store(block, fit);
  if (own_factors()) return;
  const auto b = static_cast<size_t>(block);
  const int16_t scale = row_.scales[b];
  const int16_t minimum = has_minima_ ? row_.minima[b] : int16_t{0};
  double least = error(w, h, {scales_[b], minima_[b]});
  int16_t best_scale = scale;
  int16_t best_minimum = minimum;
  const int reach = has_minima_ ? 1 : 0;
  for (int i = -1; i <= 1; ++i)
    for (int j = -reach; j <= reach; ++j) {
      const int k = scale + i;
      const int m = minimum + j;
      if (k < layout_.least_scale || k > layout_.largest_scale || m < 0 ||
          m > std::max(layout_.largest_minimum, 0))
        continue;
      row_.scales[b] = static_cast<int16_t>(k);
      if (has_minima_) row_.minima[b] = static_cast<int16_t>(m);
      update(block);
      const double now = error(w, h, {scales_[b], minima_[b]});
      if (now < least) {
        least = now;
        best_scale = row_.scales[b];
        best_minimum = static_cast<int16_t>(m);
      }
    }
  row_.scales[b] = best_scale;
  if (has_minima_) row_.minima[b] = best_minimum;
  update(block);
}

RowGrid::Fit RowGrid::fit(const double* w, const double* h, int64_t first) const {
  return has_minima_ ? fit_range(w + first, h + first) : fit_scale(w + first, h + first);
}

void RowGrid::begin(const double* w, const double* h) {
  if (layout_.superblock == 0) choose_factors(w, h, 0);
}

void RowGrid::choose_factors(const double* w, const double* h, int64_t first) {
  for (int64_t b = 0; b < per_superblock_; ++b)
    fits_[static_cast<size_t>(b)] = fit(w, h, first + b * layout_.block);
  set_factors(superblock_of(first / layout_.block), fits_.data(), per_superblock_);
}

void RowGrid::choose(const double* w, const double* h, int64_t first) {
  if (layout_.superblock != 0 && !own_factors() && first % superblock_ == 0) choose_factors(w, h, first);
  store_nearby(first / layout_.block, w + first, h + first, fit(w, h, first));
}

double RowGrid::round(int64_t c, double value) {
  const auto b = static_cast<size_t>(c / layout_.block);
  const double scaled = (value - minima_[b]) * inverse_of(scales_[b]);
  double code;
  if (affine_)
    code = std::clamp(std::nearbyint(scaled) - layout_.levels[0], 0.0, static_cast<double>(last_));
  else
    code = static_cast<double>(std::lower_bound(middles_.begin(), middles_.end(), scaled) - middles_.begin());
  row_.codes[static_cast<size_t>(c)] = static_cast<uint8_t>(code);
  return this->value(c);
}

double RowGrid::value(int64_t c) const {
  const auto b = static_cast<size_t>(c / layout_.block);
  return minima_[b] + scales_[b] * level(c);
}

void encode_to_grid(Encoding encoding, const float* source, int64_t cols, std::byte* destination) {
  RowGrid grid(encoding, cols);
  const std::vector<double> w(source, source + cols);
  const std::vector<double> h(w.size(), 1.0);
  grid.begin(w.data(), h.data());
  for (int64_t c = 0; c < cols; ++c) {
    if (c % grid.block() == 0) grid.choose(w.data(), h.data(), c);
    grid.round(c, w[static_cast<size_t>(c)]);
  }
  put_row_codes(encoding, grid.codes(), destination);
}

}  // namespace pare
