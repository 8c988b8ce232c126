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

// Returns whether each byte keeps `kept` of every group; none does when groups are no parts of bytes.
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
  const int32_t kept = weight.format.pattern.kept;
  const int32_t group = weight.format.pattern.group;
  const std::array<bool, 256> good = good_bytes(weight.format.pattern);
  for_row_pieces(weight.rows, [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const std::byte* row = weight.mask + r * bytes;
      int64_t whole = 0;  // bytes that need no second look
      while (whole < weight.cols / 8 && good[static_cast<size_t>(row[whole])]) ++whole;
      for (int64_t g = whole * 8 / group; g < weight.cols / group; ++g) {
        const int count = std::popcount(group_bits(row, bytes, g, group));
        if (count != kept)
          fail(ErrorCode::kFormat, "{}: the mask of row {} keeps {} of columns {} to {}, {} keeps {}", name,
               r, count, g * group, (g + 1) * group - 1, pattern_name(weight.format.pattern), kept);
      }
      if (weight.cols % 8 != 0 && (row[bytes - 1] >> (weight.cols % 8)) != std::byte{0})
        fail(ErrorCode::kFormat, "{}: the mask of row {} keeps columns beyond the last of {}", name, r,
             weight.cols);
    }
  });
}

// Returns the place of scale number i of a weight: "row 3" or "row 3, columns 64 to 127".
std::string place_of_scale(const Weight& weight, int64_t i) {
  const int64_t r = i / weight.groups();
  const int64_t group = weight.format.group;
  if (group == 0) return fmt::format("row {}", r);
  const int64_t first = i % weight.groups() * group;
  return fmt::format("row {}, columns {} to {}", r, first, first + group - 1);
}

void check_scales(const Weight& weight, std::string_view name) {
  for (int64_t i = 0; i < weight.rows * weight.groups(); ++i) {
    const float scale = weight.scale(i);
    if (!std::isfinite(scale) || std::signbit(scale))
      fail(ErrorCode::kFormat, "{}: the scale of {} is {}, expected a finite number from 0 on", name,
           place_of_scale(weight, i), scale);
  }
}

void check_zero_points(const Weight& weight, std::string_view name) {
  const int32_t levels = encoding_info(weight.format.encoding).levels;
  for (int64_t i = 0; i < weight.rows * weight.groups(); ++i)
    if (const auto code = static_cast<int32_t>(weight.zero_points[i]); code >= levels)
      fail(ErrorCode::kFormat, "{}: the zero point of {} is {}, expected 0 to {}", name,
           place_of_scale(weight, i), code, levels - 1);
}

// Codes of half a byte, read as bytes for row r: each is its difference to the zero point, modulo 256.
class HalfBytes {
 public:
  explicit HalfBytes(const Weight& weight)
      : weight_(weight),
        stored_(weight.stored_cols()),
        stored_of_group_(weight.format.group == 0
                             ? stored_
                             : Weight::stored_cols(weight.format.group, weight.format.pattern)) {}

  void read(int64_t r, uint8_t* out) const {
    const std::byte* row = weight_.data + r * stored_ / 2;
    for (int64_t i = 0; i < stored_; ++i) {
      const auto pair = static_cast<uint32_t>(row[i / 2]);
      out[i] = static_cast<uint8_t>((i % 2 == 0 ? pair & 15 : pair >> 4) - zero_point(r, i));
    }
  }
  void write(int64_t r, const uint8_t* in, uint8_t* values) const {
    uint8_t* row = values + r * stored_ / 2;
    for (int64_t i = 0; i < stored_; i += 2)
      row[i / 2] = static_cast<uint8_t>(((in[i] + zero_point(r, i)) & 15) |
                                        ((in[i + 1] + zero_point(r, i + 1)) & 15) << 4);
  }

 private:
  // Zero point of stored value i of row r.
  uint32_t zero_point(int64_t r, int64_t i) const {
    if (weight_.zero_points == nullptr)
      return static_cast<uint32_t>(encoding_info(weight_.format.encoding).levels / 2);
    return static_cast<uint32_t>(weight_.zero_points[r * weight_.groups() + i / stored_of_group_]);
  }

  const Weight& weight_;
  int64_t stored_;
  int64_t stored_of_group_;
};

// Stored values as bits, all but the sign of which are 0 for a zero.
template <typename Bits, Bits kMagnitude>
class Restoring {
 public:
  Restoring(const Weight& from, const Weight& to, uint8_t* values, uint8_t* mask)
      : from_(from),
        to_(to),
        values_(values),
        mask_(mask),
        row_(static_cast<size_t>(from.cols)),
        stored_(static_cast<size_t>(from.cols)) {}

  // Copies row r; returns the first column of a group that has too many non-zeros, else −1.
  int64_t copy_row(int64_t r) {
    read(r);
    const Pattern pattern = to_.format.pattern;
    if (pattern.dense()) {
      write(r, row_.data());
      return -1;
    }
    Bits* out = stored_.data();
    uint8_t* mask = mask_ + r * Weight::mask_row_bytes(to_.cols);
    const int64_t group = pattern.group;
    for (int64_t c = 0; c < to_.cols; c += group) {
      const Bits* values = row_.data() + c;
      const auto zeros = std::count(values, values + group, Bits{0});
      int64_t room = pattern.kept - (group - zeros);
      if (room < 0) return c;
      for (int64_t i = c; i < c + group; ++i) {
        const Bits value = row_[static_cast<size_t>(i)];
        if (value == 0 && room-- <= 0) continue;
        *out++ = value;
        mask[i / 8] = static_cast<uint8_t>(mask[i / 8] | 1u << (i % 8));
      }
    }
    write(r, stored_.data());
    return -1;
  }

 private:
  static constexpr auto kBytes = static_cast<int64_t>(sizeof(Bits));
  bool half_bytes() const { return from_.format.encoding == Encoding::kInt4; }

  // Reads row r with all its columns, zeros as +0.0.
  void read(int64_t r) {
    const int64_t stored = from_.stored_cols();
    if constexpr (sizeof(Bits) == 1) {
      if (half_bytes()) HalfBytes(from_).read(r, stored_.data());
    }
    if (!half_bytes())
      std::memcpy(stored_.data(), from_.data + r * stored * kBytes, static_cast<size_t>(stored * kBytes));
    const Bits* source = stored_.data();
    const auto next = [&] {
      const Bits value = *source++;
      return (value & kMagnitude) == 0 ? Bits{0} : value;
    };
    const std::byte* mask =
        from_.mask == nullptr ? nullptr : from_.mask + r * Weight::mask_row_bytes(from_.cols);
    for (int64_t c = 0; c < from_.cols; ++c) {
      const bool kept = mask == nullptr || ((mask[c / 8] >> (c % 8)) & std::byte{1}) != std::byte{0};
      row_[static_cast<size_t>(c)] = kept ? next() : Bits{0};
    }
    // A group whose scale is 0 holds zeros, whatever its codes are.
    const int64_t groups = from_.groups();
    for (int64_t g = 0; g < groups; ++g)
      if (from_.scale(r * groups + g) == 0.0f)
        std::fill_n(row_.begin() + g * from_.cols / groups, from_.cols / groups, Bits{0});
  }
  // Writes the stored values of row r.
  void write(int64_t r, const Bits* stored) {
    if constexpr (sizeof(Bits) == 1) {
      if (half_bytes()) return HalfBytes(to_).write(r, stored, values_);
    }
    const int64_t bytes = to_.stored_cols() * kBytes;
    std::memcpy(values_ + r * bytes, stored, static_cast<size_t>(bytes));
  }

  const Weight& from_;
  const Weight& to_;
  uint8_t* values_;
  uint8_t* mask_;
  std::vector<Bits> row_;
  std::vector<Bits> stored_;
};

struct PartBytes {
  int64_t values;
  int64_t scales;
  int64_t zero_points;
};

PartBytes sizes_of(const Weight& weight) {
  const int64_t scales = weight.rows * weight.groups();
  return {weight.rows * row_bytes(weight.format.encoding, weight.stored_cols()),
          scales * weight.bytes_of_scale(), weight.format.zero_points ? scales : 0};
}

template <typename Bits, Bits kMagnitude>
Weight restored(const Weight& weight, Pattern pattern, std::string_view name) {
  Weight result = weight;
  result.format = weight.format.in(pattern);
  result.mapped = false;
  const auto [value_bytes, scale_bytes, zero_bytes] = sizes_of(result);
  const int64_t mask_bytes = pattern.dense() ? 0 : weight.rows * Weight::mask_row_bytes(weight.cols);
  const auto buffer = std::make_shared<AlignedBuffer<uint8_t>>(
      static_cast<size_t>(value_bytes + mask_bytes + scale_bytes + zero_bytes));
  uint8_t* mask = buffer->data() + value_bytes;
  uint8_t* scales = mask + mask_bytes;
  std::fill_n(mask, mask_bytes, uint8_t{0});
  if (scale_bytes > 0) std::memcpy(scales, weight.scales, static_cast<size_t>(scale_bytes));
  if (zero_bytes > 0) std::memcpy(scales + scale_bytes, weight.zero_points, static_cast<size_t>(zero_bytes));
  for_row_pieces(weight.rows, [&](int64_t first, int64_t last) {
    Restoring<Bits, kMagnitude> rows(weight, result, buffer->data(), mask);
    for (int64_t r = first; r < last; ++r) {
      const int64_t c = rows.copy_row(r);
      if (c >= 0)
        fail(ErrorCode::kInvalid, "\"{}\" is not {}: more than {} of columns {} to {} of row {} are not zero",
             name, pattern_name(pattern), pattern.kept, c, c + pattern.group - 1, r);
    }
  });
  const auto* bytes = reinterpret_cast<const std::byte*>(buffer->data());
  result.data = bytes;
  result.mask = pattern.dense() ? nullptr : bytes + value_bytes;
  result.scales = scale_bytes == 0 ? nullptr : bytes + value_bytes + mask_bytes;
  result.zero_points = zero_bytes == 0 ? nullptr : bytes + value_bytes + mask_bytes + scale_bytes;
  result.owner = buffer;
  return result;
}

Weight with_pattern(const Weight& weight, Pattern pattern, std::string_view name) {
  if (const std::string reason = misfit(weight.format.in(pattern), weight.cols); !reason.empty())
    fail(ErrorCode::kFormat, "\"{}\" {}", name, reason);
  switch (weight.format.encoding) {
    case Encoding::kF32:
      return restored<uint32_t, 0x7fffffff>(weight, pattern, name);
    case Encoding::kF16:
    case Encoding::kBF16:
      return restored<uint16_t, 0x7fff>(weight, pattern, name);
    case Encoding::kInt8:
    case Encoding::kInt4:
      return restored<uint8_t, 0xff>(weight, pattern, name);
    default:
      fail(ErrorCode::kInternal, "\"{}\": {} has no patterns", name,
           encoding_info(weight.format.encoding).name);
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
  const EncodingInfo& info = encoding_info(stored);
  return {total.zeros, cheapest_pattern(total, 8 * info.block_bytes / info.block_values)};
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
  return weight.format.pattern == pattern ? weight : with_pattern(weight, pattern, name);
}

Weight to_format(const Weight& weight, const WeightFormat& format, std::string_view name) {
  if (weight.format.in(format.pattern) == format) return to_pattern(weight, format.pattern, name);
  const Matrix<float> values = decode(weight);
  Weight dense = Weight::from_matrix(values.view(), format.in(kDense));
  // A deleted value may have been −0.0.
  if (format.pattern.dense() && (weight.format.pattern.dense() || is_block_encoding(format.encoding)))
    return dense;
  return with_pattern(dense, format.pattern, name);
}

void check_parts(const Weight& weight, std::string_view name) {
  if (weight.mask != nullptr) check_mask(weight, name);
  if (weight.scales != nullptr) check_scales(weight, name);
  if (weight.zero_points != nullptr) check_zero_points(weight, name);
}

}  // namespace pare
