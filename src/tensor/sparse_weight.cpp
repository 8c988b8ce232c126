#include "tensor/sparse_weight.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <mutex>
#include <vector>

#include "base/parallel.h"
#include "tensor/value_pattern.h"

namespace pare {
namespace {

constexpr int64_t kRowsPerTask = 64;

// Calls body(first, last) for pieces of the rows.
template <typename Body>
void for_row_pieces(int64_t rows, Body&& body) {
  parallel_for((rows + kRowsPerTask - 1) / kRowsPerTask,
               [&](int64_t i) { body(i * kRowsPerTask, std::min(rows, (i + 1) * kRowsPerTask)); });
}

constexpr std::array<int32_t, 5> kGroups = {2, 4, 8, 16, 32};

// Most non-zeros in a group of each size; −1 where the size does not divide the columns.
struct RowCounts {
  int64_t zeros = 0;
  std::array<int32_t, kGroups.size()> most = {};

  void add(const std::vector<float>& row, std::vector<uint8_t>& counts) {
    counts.assign(row.size(), 0);
    for (size_t c = 0; c < row.size(); ++c) counts[c] = row[c] != 0.0f;  // a NaN counts
    size_t size = row.size();
    for (size_t level = 0; level < kGroups.size(); ++level) {
      if (size % 2 != 0) {
        std::fill(most.begin() + static_cast<ptrdiff_t>(level), most.end(), -1);
        break;
      }
      size /= 2;
      uint8_t largest = 0;
      for (size_t i = 0; i < size; ++i) {
        counts[i] = static_cast<uint8_t>(counts[2 * i] + counts[2 * i + 1]);
        largest = std::max(largest, counts[i]);
      }
      most[level] = std::max<int32_t>(most[level], largest);
    }
    zeros += std::count(row.begin(), row.end(), 0.0f);
  }
  void add(const RowCounts& other) {
    zeros += other.zeros;
    for (size_t i = 0; i < most.size(); ++i)
      most[i] = most[i] < 0 || other.most[i] < 0 ? -1 : std::max(most[i], other.most[i]);
  }
};

Pattern cheapest_pattern(const RowCounts& counts, int64_t bits) {
  Pattern best;
  for (const int32_t group : {4, 2, 8, 16, 32}) {
    const auto level = static_cast<size_t>(std::countr_zero(static_cast<uint32_t>(group))) - 1;
    if (counts.most[level] < 0) continue;
    const Pattern pattern{std::max(1, counts.most[level]), group};
    if (pattern.kept * bits + group >= group * bits) continue;  // values and mask of a group
    if (best.dense() || pattern.kept * best.group < best.kept * pattern.group) best = pattern;
  }
  return best;
}

// Bits of group g of M columns in a row's mask, column 0 of the group lowest. The row has `bytes` bytes.
uint32_t group_bits(const std::byte* row, int64_t bytes, int64_t g, int32_t group) {
  const int64_t first = g * group;
  uint64_t word = 0;
  std::memcpy(&word, row + first / 8, static_cast<size_t>(std::min<int64_t>(8, bytes - first / 8)));
  return static_cast<uint32_t>((word >> (first % 8)) & ((uint64_t{1} << group) - 1));
}

// Whether each byte keeps `kept` of every group; none does when groups are no parts of bytes.
std::array<bool, 256> good_bytes(Pattern pattern) {
  std::array<bool, 256> good = {};
  if (8 % pattern.group != 0) return good;
  for (uint32_t byte = 0; byte < good.size(); ++byte) {
    good[byte] = true;
    for (int32_t first = 0; first < 8; first += pattern.group)
      if (std::popcount((byte >> first) & ((1u << pattern.group) - 1)) != pattern.kept) good[byte] = false;
  }
  return good;
}

void check_mask(const Weight& weight, std::string_view name) {
  const int64_t bytes = Weight::mask_row_bytes(weight.cols);
  const int32_t kept = weight.pattern.kept;
  const int32_t group = weight.pattern.group;
  const std::array<bool, 256> good = good_bytes(weight.pattern);
  for_row_pieces(weight.rows, [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const std::byte* row = weight.mask + r * bytes;
      int64_t whole = 0;  // bytes that need no second look
      while (whole < weight.cols / 8 && good[static_cast<size_t>(row[whole])]) ++whole;
      for (int64_t g = whole * 8 / group; g < weight.cols / group; ++g) {
        const int count = std::popcount(group_bits(row, bytes, g, group));
        if (count != kept)
          fail(ErrorCode::kFormat, "{}: the mask of row {} keeps {} of columns {} to {}, {} keeps {}", name,
               r, count, g * group, (g + 1) * group - 1, pattern_name(weight.pattern), kept);
      }
      if (weight.cols % 8 != 0 && (row[bytes - 1] >> (weight.cols % 8)) != std::byte{0})
        fail(ErrorCode::kFormat, "{}: the mask of row {} keeps columns beyond the last of {}", name, r,
             weight.cols);
    }
  });
}

void check_scales(const Weight& weight, std::string_view name) {
  for (int64_t r = 0; r < weight.rows; ++r) {
    float scale;
    std::memcpy(&scale, weight.scales + r * static_cast<int64_t>(sizeof(float)), sizeof(float));
    if (!std::isfinite(scale) || std::signbit(scale))
      fail(ErrorCode::kFormat, "{}: the scale of row {} is {}, expected a finite number from 0 on", name, r,
           scale);
  }
}

// Stored values as bits, all but the sign of which are 0 for a zero.
template <typename Bits, Bits kMagnitude>
class Restoring {
 public:
  Restoring(const Weight& from, const Weight& to, Bits* values, uint8_t* mask)
      : from_(from), to_(to), values_(values), mask_(mask), row_(static_cast<size_t>(from.cols)) {}

  // Copies row r; the first column of a group that has too many non-zeros, else −1.
  int64_t copy_row(int64_t r) {
    read(r);
    Bits* out = values_ + r * to_.stored_cols();
    if (to_.pattern.dense()) {
      std::copy(row_.begin(), row_.end(), out);
      return -1;
    }
    uint8_t* mask = mask_ + r * Weight::mask_row_bytes(to_.cols);
    const int64_t group = to_.pattern.group;
    for (int64_t c = 0; c < to_.cols; c += group) {
      const Bits* values = row_.data() + c;
      const auto zeros = std::count(values, values + group, Bits{0});
      int64_t room = to_.pattern.kept - (group - zeros);
      if (room < 0) return c;
      for (int64_t i = c; i < c + group; ++i) {
        const Bits value = row_[static_cast<size_t>(i)];
        if (value == 0 && room-- <= 0) continue;
        *out++ = value;
        mask[i / 8] = static_cast<uint8_t>(mask[i / 8] | 1u << (i % 8));
      }
    }
    return -1;
  }

 private:
  // The row with all its columns, zeros as +0.0.
  void read(int64_t r) {
    const int64_t stored = from_.stored_cols();
    const std::byte* source = from_.data + r * stored * static_cast<int64_t>(sizeof(Bits));
    const auto next = [&] {
      Bits value;
      std::memcpy(&value, source, sizeof(Bits));
      source += sizeof(Bits);
      return (value & kMagnitude) == 0 ? Bits{0} : value;
    };
    const std::byte* mask =
        from_.mask == nullptr ? nullptr : from_.mask + r * Weight::mask_row_bytes(from_.cols);
    for (int64_t c = 0; c < from_.cols; ++c) {
      const bool kept = mask == nullptr || ((mask[c / 8] >> (c % 8)) & std::byte{1}) != std::byte{0};
      row_[static_cast<size_t>(c)] = kept ? next() : Bits{0};
    }
  }

  const Weight& from_;
  const Weight& to_;
  Bits* values_;
  uint8_t* mask_;
  std::vector<Bits> row_;
};

template <typename Bits, Bits kMagnitude>
Weight restored(const Weight& weight, Pattern pattern, std::string_view name) {
  Weight result = weight;
  result.pattern = pattern;
  result.mapped = false;
  const int64_t values = result.stored_values() * static_cast<int64_t>(sizeof(Bits));
  const int64_t mask_bytes = pattern.dense() ? 0 : weight.rows * Weight::mask_row_bytes(weight.cols);
  const int64_t scale_bytes =
      weight.scales == nullptr ? 0 : weight.rows * static_cast<int64_t>(sizeof(float));
  const auto buffer =
      std::make_shared<AlignedBuffer<uint8_t>>(static_cast<size_t>(values + mask_bytes + scale_bytes));
  uint8_t* mask = buffer->data() + values;
  std::fill_n(mask, mask_bytes, uint8_t{0});
  if (scale_bytes > 0) std::memcpy(mask + mask_bytes, weight.scales, static_cast<size_t>(scale_bytes));
  for_row_pieces(weight.rows, [&](int64_t first, int64_t last) {
    Restoring<Bits, kMagnitude> rows(weight, result, reinterpret_cast<Bits*>(buffer->data()), mask);
    for (int64_t r = first; r < last; ++r) {
      const int64_t c = rows.copy_row(r);
      if (c >= 0)
        fail(ErrorCode::kInvalid, "\"{}\" is not {}: more than {} of columns {} to {} of row {} are not zero",
             name, pattern_name(pattern), pattern.kept, c, c + pattern.group - 1, r);
    }
  });
  const auto* bytes = reinterpret_cast<const std::byte*>(buffer->data());
  result.data = bytes;
  result.mask = pattern.dense() ? nullptr : bytes + values;
  result.scales = weight.scales == nullptr ? nullptr : bytes + values + mask_bytes;
  result.owner = buffer;
  return result;
}

Weight with_pattern(const Weight& weight, Pattern pattern, std::string_view name) {
  if (!pattern.dense() && weight.cols % pattern.group != 0)
    fail(ErrorCode::kFormat, "\"{}\" cannot be {}: its rows of {} values do not divide into groups of {}",
         name, pattern_name(pattern), weight.cols, pattern.group);
  switch (weight.encoding) {
    case Encoding::kF32:
      return restored<uint32_t, 0x7fffffff>(weight, pattern, name);
    case Encoding::kF16:
    case Encoding::kBF16:
      return restored<uint16_t, 0x7fff>(weight, pattern, name);
    case Encoding::kInt8:
      return restored<uint8_t, 0xff>(weight, pattern, name);
    default:
      fail(ErrorCode::kInternal, "\"{}\": {} has no patterns", name, encoding_info(weight.encoding).name);
  }
}

}  // namespace

Sparsity measure_sparsity(const Weight& weight, Encoding stored) {
  RowCounts total;
  std::mutex mutex;
  for_row_pieces(weight.rows, [&](int64_t first, int64_t last) {
    std::vector<float> row(static_cast<size_t>(weight.cols));
    std::vector<uint8_t> scratch;
    RowCounts counts;
    for (int64_t r = first; r < last; ++r) {
      decode_row(weight, r, row.data());
      counts.add(row, scratch);
    }
    const std::lock_guard<std::mutex> lock(mutex);
    total.add(counts);
  });
  if (is_block_encoding(stored)) return {total.zeros, kDense};
  return {total.zeros, cheapest_pattern(total, 8 * encoding_info(stored).block_bytes)};
}

Pattern followed_pattern(const Weight& weight) {
  constexpr int64_t kFirstRows = 16;
  const Weight first = rows_of(weight, 0, std::min(weight.rows, kFirstRows));
  if (measure_sparsity(first, Encoding::kBF16).pattern.dense()) return kDense;
  const Pattern pattern = measure_sparsity(weight, Encoding::kBF16).pattern;
  release_pages(weight);
  return pattern;
}

bool can_store(const Weight& weight, Pattern pattern) {
  return pattern.dense() ||
         (weight.cols % pattern.group == 0 && values_follow(std::span(&weight, 1), pattern));
}

Weight to_pattern(const Weight& weight, Pattern pattern, std::string_view name) {
  return weight.pattern == pattern ? weight : with_pattern(weight, pattern, name);
}

Weight to_encoding(const Weight& weight, Encoding encoding) {
  if (weight.encoding == encoding) return to_pattern(weight, kDense, {});
  const Matrix<float> values = decode(weight);
  const Weight dense = Weight::from_matrix(values.view(), encoding);
  return weight.pattern.dense() || is_block_encoding(encoding) ? dense : with_pattern(dense, kDense, {});
}

void check_parts(const Weight& weight, std::string_view name) {
  if (weight.mask != nullptr) check_mask(weight, name);
  if (weight.scales != nullptr) check_scales(weight, name);
}

}  // namespace pare
