#include "tensor/row_grid.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

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
// Whole numbers of half a level, beyond all levels of int8 on either side.
constexpr int kHalves = 256;

// Returns the float that an encoding stores for a factor.
double stored_half(double value) {
  return static_cast<double>(
      to_f32(to_f16(static_cast<float>(std::clamp(value, -kLargestHalf, kLargestHalf)))));
}

double inverse_of(double scale) {
  const double inverse = 1.0 / scale;
  return std::isfinite(inverse) ? inverse : 0.0;
}

// Returns a value moved into a range; NaN becomes `last`.
template <typename T>
T within(T value, T first, T last) {
  return std::max(first, std::min(last, value));
}

bool in_order(const CodeLayout& layout) {
  for (int32_t i = 1; i < 1 << layout.bits; ++i)
    if (layout.levels[i] <= layout.levels[i - 1]) return false;
  return true;
}

}  // namespace

// Values w and importances h of a block in f32. Values are in units of the largest of them, which keeps small
// ones in the range of f32.
struct RowGrid::Block {
  std::array<float, kMaxBlock> w;
  std::array<float, kMaxBlock> h;
  double unit = 0.0;
};

// Sums over a block that say how well levels L fit values w: Σ h·L and the like.
struct RowGrid::Sums {
  double levels = 0.0;
  double products = 0.0;  // with values times levels
  double squares = 0.0;   // with levels times levels
};

// Codes, and their levels, nearest to whole numbers of half a level, from kHalves on down.
struct RowGrid::Nearest {
  std::array<uint8_t, 2 * kHalves + 1> codes;
  std::array<float, 2 * kHalves + 1> levels;

  explicit Nearest(const CodeLayout& layout) {
    int code = (1 << layout.bits) - 1;
    for (int i = 0; i <= 2 * kHalves; ++i) {
      // The middle of two levels is a whole number of halves.
      while (code > 0 && layout.levels[code - 1] + layout.levels[code] >= kHalves - i) --code;
      codes[static_cast<size_t>(i)] = static_cast<uint8_t>(code);
      levels[static_cast<size_t>(i)] = static_cast<float>(layout.levels[code]);
    }
  }
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
  for (int32_t i = 0; i < last_; ++i) affine_ = affine_ && layout_.levels[i + 1] - layout_.levels[i] == 1;
  if (!affine_) nearest_ = std::make_shared<const Nearest>(layout_);
  row_.resize(layout_, cols);
  scales_.resize(row_.scales.size());
  inverses_.resize(row_.scales.size());
  minima_.resize(row_.scales.size());
  fits_.resize(static_cast<size_t>(per_superblock_));
}

// Sets kLanes levels to those nearest to values in units of a level.
void RowGrid::nearest_levels(const float* units, float* levels) const {
  constexpr float kLimit = kHalves;
  const auto first = static_cast<float>(layout_.levels[0]);
  const auto last = static_cast<float>(layout_.levels[last_]);
  if (affine_) {
    constexpr float kRound = 0x1.8p23f;  // adding and subtracting it rounds to nearest even
    for (int64_t j = 0; j < kLanes; ++j) levels[j] = (within(units[j], first, last) + kRound) - kRound;
    return;
  }
  int32_t below[kLanes];  // halves from the next whole one up to kHalves
  for (int64_t j = 0; j < kLanes; ++j)
    below[j] = static_cast<int32_t>(kLimit - 2.0f * within(units[j], first, last));
  for (int64_t j = 0; j < kLanes; ++j) levels[j] = nearest_->levels[static_cast<size_t>(below[j])];
}

RowGrid::Block RowGrid::block_of(const double* w, const double* h) const {
  Block block;
  const auto [low, high] = std::minmax_element(w, w + layout_.block);
  block.unit = std::max(*high, -*low);
  const double inverse = inverse_of(block.unit);
  for (int64_t i = 0; i < layout_.block; ++i) {
    block.w[static_cast<size_t>(i)] = static_cast<float>(w[i] * inverse);
    block.h[static_cast<size_t>(i)] = static_cast<float>(h[i]);
  }
  return block;
}

// Returns the sums for the levels nearest to factor · w + shift.
RowGrid::Sums RowGrid::sums_of(const Block& block, float factor, float shift) const {
  float sums[kLanes] = {};
  float products[kLanes] = {};
  float squares[kLanes] = {};
  for (int64_t i = 0; i < layout_.block; i += kLanes) {
    const float* w = block.w.data() + i;
    const float* h = block.h.data() + i;
    float units[kLanes];
    float levels[kLanes];
    for (int64_t j = 0; j < kLanes; ++j) units[j] = w[j] * factor + shift;
    nearest_levels(units, levels);
    for (int64_t j = 0; j < kLanes; ++j) {
      const float weighted = h[j] * levels[j];
      sums[j] += weighted;
      products[j] += weighted * w[j];
      squares[j] += weighted * levels[j];
    }
  }
  Sums result;
  for (int64_t j = 0; j < kLanes; ++j) {
    result.levels += static_cast<double>(sums[j]);
    result.products += static_cast<double>(products[j]);
    result.squares += static_cast<double>(squares[j]);
  }
  return result;
}

// Finds the scale of a block without a minimum: of some ranges of either sign, the one whose levels leave the
// least error with the scale that is best for them. First every third range is tried, then those around the
// best one.
RowGrid::Fit RowGrid::fit_scale(const Block& block) const {
  double gain = 0.0;  // the most that levels take off Σ h·w², with their best scale
  double scale = 0.0;
  int best = 0;
  double best_sign = 1.0;
  const auto attempt = [&](int range, double sign) {
    const double factor = sign * kWhole / range * -static_cast<double>(layout_.levels[0]);
    const Sums sums = sums_of(block, static_cast<float>(factor), 0.0f);
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
  return {scale * block.unit, 0.0};
}

// Finds scale and minimum of a block, whose levels begin at 0: of some ranges, the one whose levels leave the
// least error with the scale and minimum that are best for them.
RowGrid::Fit RowGrid::fit_range(const Block& block) const {
  const bool signed_minimum = own_factors();  // superblocks have minima of one sign, not above zero
  double low = signed_minimum ? static_cast<double>(block.w[0]) : 0.0;
  double high = static_cast<double>(block.w[0]);
  double h = 0.0;
  double w = 0.0;  // weighted by h
  for (int64_t i = 0; i < layout_.block; ++i) {
    const auto value = static_cast<double>(block.w[static_cast<size_t>(i)]);
    const auto importance = static_cast<double>(block.h[static_cast<size_t>(i)]);
    low = std::min(low, value);
    high = std::max(high, value);
    h += importance;
    w += importance * value;
  }
  const double inverse_h = inverse_of(h);
  const double mean = w * inverse_h;
  // Makes a fit the best one for the levels nearest to it. Returns how much less than Σ h·(w − mean)² the
  // error is, or nothing when the levels have no best fit.
  const auto refit = [&](Fit& fit) -> std::optional<double> {
    const double inverse = inverse_of(fit.scale);
    const Sums sums = sums_of(block, static_cast<float>(inverse), static_cast<float>(-fit.minimum * inverse));
    const double spread = h * sums.squares - sums.levels * sums.levels;
    if (!(spread > 0.0)) return std::nullopt;
    const double together = h * sums.products - w * sums.levels;
    fit.scale = together / spread;
    fit.minimum = mean - fit.scale * sums.levels * inverse_h;
    double gain = together * fit.scale * inverse_h;
    if (!signed_minimum && fit.minimum > 0.0) {
      fit = {sums.products / sums.squares, 0.0};
      gain = sums.products * fit.scale - w * mean;
    }
    return fit.scale > 0.0 ? std::optional(gain) : std::nullopt;
  };
  Fit best = {0.0, signed_minimum ? (low + high) / 2.0 : low};
  double most = -std::numeric_limits<double>::infinity();
  const auto follow = [&](Fit fit, int rounds) {
    for (int round = 0; round < rounds; ++round) {
      const std::optional<double> gain = refit(fit);
      if (!gain) return;
      if (*gain > most) {
        most = *gain;
        best = fit;
      }
    }
  };
  const int smallest = layout_.bits <= kFewBits ? kSmallestRange : kSmallestOfManyBits;
  for (int range = smallest; range <= kLargestRange; range += 2) {
    const double width = (high - low) * range / kWhole;
    follow({width / last_, signed_minimum ? (low + high - width) / 2.0 : low * range / kWhole}, 2);
  }
  follow(best, 2);
  return {best.scale * block.unit, best.minimum * block.unit};
}

// Returns the error of a block, in units of its largest value, with a scale and a minimum.
double RowGrid::error(const Block& block, double scale, double minimum) const {
  const double inverse = inverse_of(block.unit);
  const auto step = static_cast<float>(scale * inverse);
  const auto base = static_cast<float>(minimum * inverse);
  const auto factor = static_cast<float>(inverse_of(scale * inverse));
  float errors[kLanes] = {};
  for (int64_t i = 0; i < layout_.block; i += kLanes) {
    const float* w = block.w.data() + i;
    const float* h = block.h.data() + i;
    float units[kLanes];
    float levels[kLanes];
    for (int64_t j = 0; j < kLanes; ++j) units[j] = (w[j] - base) * factor;
    nearest_levels(units, levels);
    for (int64_t j = 0; j < kLanes; ++j) {
      const float difference = w[j] - base - step * levels[j];
      errors[j] += h[j] * difference * difference;
    }
  }
  double sum = 0.0;
  for (int64_t j = 0; j < kLanes; ++j) sum += static_cast<double>(errors[j]);
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

double RowGrid::scale_of(int64_t block, int scale) const {
  return static_cast<double>(row_.factors[static_cast<size_t>(superblock_of(block))]) * scale;
}

double RowGrid::minimum_of(int64_t block, int minimum) const {
  return static_cast<double>(row_.minimum_factors[static_cast<size_t>(superblock_of(block))]) * minimum;
}

void RowGrid::update(int64_t block) {
  const auto b = static_cast<size_t>(block);
  scales_[b] = scale_of(block, row_.scales[b]);
  inverses_[b] = inverse_of(scales_[b]);
  if (has_minima_) minima_[b] = minimum_of(block, row_.minima[b]);
}

double RowGrid::move_scale(int64_t block, double wanted) {
  const auto b = static_cast<size_t>(block);
  const auto s = static_cast<size_t>(superblock_of(block));
  if (own_factors()) {
    row_.factors[s] = static_cast<float>(stored_half(wanted));
  } else {
    const double nearest = std::nearbyint(wanted * inverse_of(static_cast<double>(row_.factors[s])));
    row_.scales[b] =
        static_cast<int16_t>(within<double>(nearest, layout_.least_scale, layout_.largest_scale));
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
    row_.minima[b] = static_cast<int16_t>(within<double>(nearest, 0, layout_.largest_minimum));
  }
  update(block);
  return minima_[b];
}

void RowGrid::store(int64_t block, const Fit& fit) {
  move_scale(block, fit.scale);
  if (has_minima_) move_minimum(block, fit.minimum);
}

// Stores a scale and a minimum, or those beside them that leave less error.
void RowGrid::store_nearby(int64_t index, const Block& block, const Fit& fit) {
  store(index, fit);
  if (own_factors()) return;
  const auto b = static_cast<size_t>(index);
  const int scale = row_.scales[b];
  const int minimum = has_minima_ ? row_.minima[b] : 0;
  double least = error(block, scales_[b], minima_[b]);
  const int reach = has_minima_ ? 1 : 0;
  for (int i = -1; i <= 1; ++i)
    for (int j = -reach; j <= reach; ++j) {
      const int k = scale + i;
      const int m = minimum + j;
      if ((i == 0 && j == 0) || k < layout_.least_scale || k > layout_.largest_scale || m < 0 ||
          m > std::max(layout_.largest_minimum, 0))
        continue;
      const double now = error(block, scale_of(index, k), has_minima_ ? minimum_of(index, m) : 0.0);
      if (now < least) {
        least = now;
        row_.scales[b] = static_cast<int16_t>(k);
        if (has_minima_) row_.minima[b] = static_cast<int16_t>(m);
      }
    }
  update(index);
}

RowGrid::Fit RowGrid::fit(const Block& block) const {
  return has_minima_ ? fit_range(block) : fit_scale(block);
}

void RowGrid::begin(const double* w, const double* h) {
  if (layout_.superblock == 0) choose_factors(w, h, 0);
}

// Chooses the factors of the superblock that begins at column `first`, and keeps the fits of its blocks.
void RowGrid::choose_factors(const double* w, const double* h, int64_t first) {
  for (int64_t b = 0; b < per_superblock_; ++b) {
    const int64_t c = first + b * layout_.block;
    fits_[static_cast<size_t>(b)] = fit(block_of(w + c, h + c));
  }
  set_factors(superblock_of(first / layout_.block), fits_.data(), per_superblock_);
}

void RowGrid::choose(const double* w, const double* h, int64_t first) {
  if (layout_.superblock != 0 && !own_factors() && first % superblock_ == 0) choose_factors(w, h, first);
  const Block block = block_of(w + first, h + first);
  store_nearby(first / layout_.block, block, fit(block));
}

void RowGrid::round_row(const double* w, const double* h) {
  const int64_t cols = static_cast<int64_t>(row_.codes.size());
  const int64_t together = per_superblock_ * layout_.block;  // columns whose blocks share a factor
  for (int64_t first = 0; first < cols; first += together) {
    if (!own_factors()) choose_factors(w, h, first);
    for (int64_t b = 0; b < per_superblock_; ++b) {
      const int64_t c = first + b * layout_.block;
      const Block block = block_of(w + c, h + c);
      store_nearby(c / layout_.block, block, own_factors() ? fit(block) : fits_[static_cast<size_t>(b)]);
      for (int64_t i = c; i < c + layout_.block; ++i) round(i, w[i]);
    }
  }
}

double RowGrid::round(int64_t c, double value) {
  const auto b = static_cast<size_t>(c / layout_.block);
  const double scaled = (value - minima_[b]) * inverses_[b];
  const double first = layout_.levels[0];
  const double level = within(scaled, first, static_cast<double>(layout_.levels[last_]));
  uint8_t code;
  if (affine_) {
    constexpr double kRound = 0x1.8p52;  // adding and subtracting it rounds to nearest even
    code = static_cast<uint8_t>(((level + kRound) - kRound) - first);
  } else {
    code = nearest_->codes[static_cast<size_t>(kHalves - 2.0 * level)];
  }
  row_.codes[static_cast<size_t>(c)] = code;
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
  grid.round_row(w.data(), h.data());
  put_row_codes(encoding, grid.codes(), destination);
}

}  // namespace pare
