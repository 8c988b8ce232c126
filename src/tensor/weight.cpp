#include "tensor/weight.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>
#include <vector>

#include "base/mapped_file.h"
#include "base/parallel.h"
#include "tensor/int4_group.h"
#include "tensor/int8_row.h"

namespace pare {
namespace {

// Number of stored values of `cols` columns of a row, whole groups. The columns were checked before.
int64_t stored_of(const Weight& weight, int64_t cols) noexcept {
  const Pattern pattern = weight.format.pattern;
  return pattern.dense() ? cols : cols / pattern.group * pattern.kept;
}

int64_t stride_of(const Weight& weight) noexcept {
  return row_bytes(weight.format.encoding, stored_of(weight, weight.cols));
}

// The parts of a new dense weight, while they are written.
struct Room {
  std::byte* values;
  std::byte* scales;
  std::byte* zero_points;
};

Room make_room(Weight& weight) {
  const int64_t scales = weight.rows * weight.groups();
  const int64_t scale_bytes = scales * weight.bytes_of_scale();
  const int64_t value_bytes = weight.rows * row_bytes(weight.format.encoding, weight.cols);
  const int64_t zero_bytes = weight.format.zero_points ? scales : 0;
  const auto buffer =
      std::make_shared<AlignedBuffer<std::byte>>(static_cast<size_t>(scale_bytes + value_bytes + zero_bytes));
  // Scales come first, so that they are aligned.
  const Room room{buffer->data() + scale_bytes, buffer->data(), buffer->data() + scale_bytes + value_bytes};
  weight.data = room.values;
  if (is_code(weight.format.encoding)) weight.scales = room.scales;
  if (weight.format.zero_points) weight.zero_points = room.zero_points;
  weight.owner = buffer;
  return room;
}

// Rounds row r to codes. Spoils the row.
void encode_codes(const Weight& weight, int64_t r, float* row, const Room& room) {
  const int64_t groups = weight.groups();
  const int64_t group = weight.format.group == 0 ? weight.cols : weight.format.group;
  std::byte* codes = room.values + r * stride_of(weight);
  for (int64_t i = r * groups; i < (r + 1) * groups; ++i, row += group) {
    float scale = 0.0f;
    if (weight.format.encoding == Encoding::kInt8) {
      scale = round_to_int8(row, group, row);
      for (int64_t c = 0; c < group; ++c) *codes++ = static_cast<std::byte>(static_cast<int8_t>(row[c]));
    } else {
      const Int4Group rounded =
          round_to_int4(row, group, weight.format.zero_points, row, weight.format.scale_type);
      scale = rounded.scale;
      if (weight.format.zero_points) room.zero_points[i] = static_cast<std::byte>(rounded.zero_point);
      for (int64_t c = 0; c < group; c += 2)
        *codes++ =
            static_cast<std::byte>(static_cast<int32_t>(row[c]) | static_cast<int32_t>(row[c + 1]) << 4);
    }
    encode_values(weight.format.scale_type, &scale, 1, room.scales + i * weight.bytes_of_scale());
  }
}

template <typename T>
Weight encode_matrix(MatrixView<const T> values, const WeightFormat& format) {
  PARE_CHECK(format.pattern.dense());
  if (const std::string reason = misfit(format, values.cols); !reason.empty())
    fail(ErrorCode::kFormat, "a matrix {}", reason);
  Weight weight;
  weight.format = format;
  weight.rows = values.rows;
  weight.cols = values.cols;
  const Room room = make_room(weight);
  const bool codes = is_code(format.encoding);
  const int64_t stride = stride_of(weight);
  constexpr int64_t kRows = 64;
  parallel_for((values.rows + kRows - 1) / kRows, [&](int64_t piece) {
    std::vector<float> row(static_cast<size_t>(values.cols));
    for (int64_t r = piece * kRows; r < std::min(values.rows, (piece + 1) * kRows); ++r) {
      for (int64_t c = 0; c < values.cols; ++c)
        row[static_cast<size_t>(c)] = static_cast<float>(values(r, c));
      if (codes)
        encode_codes(weight, r, row.data(), room);
      else
        encode_values(format.encoding, row.data(), values.cols, room.values + r * stride);
    }
  });
  return weight;
}

// NaN and infinity have all bits of the exponent set. Signed, because that is what vectors compare best.
template <typename Bits>
bool exponents_below(const std::byte* data, int64_t n, Bits exponent) {
  Bits largest = 0;
  for (int64_t i = 0; i < n; ++i) {
    Bits bits;
    std::memcpy(&bits, data + i * static_cast<int64_t>(sizeof(Bits)), sizeof(Bits));
    largest = std::max(largest, static_cast<Bits>(bits & exponent));
  }
  return largest < exponent;
}

bool row_is_finite(const Weight& weight, int64_t r, std::vector<float>& scratch) {
  const std::byte* row = weight.data + r * stride_of(weight);
  const int64_t stored = stored_of(weight, weight.cols);
  switch (weight.format.encoding) {
    case Encoding::kF32:
      return exponents_below<int32_t>(row, stored, 0x7f800000);
    case Encoding::kBF16:
      return exponents_below<int16_t>(row, stored, 0x7f80);
    case Encoding::kF16:
      return exponents_below<int16_t>(row, stored, 0x7c00);
    default:
      scratch.resize(static_cast<size_t>(weight.cols));
      decode_row(weight, r, scratch.data());
      return exponents_below<int32_t>(reinterpret_cast<const std::byte*>(scratch.data()), weight.cols,
                                      0x7f800000);
  }
}

// Decodes the stored values of row r, without scales, to the end of the row: from there they move forwards,
// never past a column that is still to be read.
float* decode_stored(const Weight& weight, int64_t r, float* out) noexcept {
  const int64_t stored = stored_of(weight, weight.cols);
  float* next = out + weight.cols - stored;
  decode_values(weight.format.encoding, weight.data + r * stride_of(weight), stored, next);
  return next;
}

// Turns the codes of row r into values.
void multiply_by_scales(const Weight& weight, int64_t r, float* codes) noexcept {
  const WeightFormat& format = weight.format;
  const int64_t groups = weight.groups();
  const int64_t stored = stored_of(weight, format.group == 0 ? weight.cols : format.group);
  const int32_t middle = encoding_info(format.encoding).levels / 2;
  for (int64_t i = r * groups; i < (r + 1) * groups; ++i, codes += stored) {
    const float scale = weight.scale(i);
    if (weight.zero_points != nullptr) {
      const auto shift = static_cast<float>(middle - static_cast<int32_t>(weight.zero_points[i]));
      for (int64_t c = 0; c < stored; ++c) codes[c] += shift;
    }
    for (int64_t c = 0; c < stored; ++c) codes[c] *= scale;
  }
}

// Brings the stored values of row r, which begin at `next`, to their columns.
void spread(const Weight& weight, int64_t r, const float* next, float* out) noexcept {
  if (weight.mask == nullptr) return;
  const std::byte* mask = weight.mask + r * Weight::mask_row_bytes(weight.cols);
  const float* end = out + weight.cols;
  int64_t c = 0;
  for (; next != end; ++c) {
    const bool kept = ((mask[c / 8] >> (c % 8)) & std::byte{1}) != std::byte{0};
    out[c] = kept ? *next : 0.0f;
    next += kept;
  }
  std::fill(out + c, out + weight.cols, 0.0f);
}

}  // namespace

int64_t Weight::stored_cols(int64_t cols, Pattern pattern) {
  if (pattern.dense()) return cols;
  if (cols % pattern.group != 0)
    fail(ErrorCode::kFormat, "rows of {} values do not divide into groups of {}", cols, pattern.group);
  return cols / pattern.group * pattern.kept;
}

std::array<std::span<const std::byte>, 4> Weight::parts() const {
  const auto part = [&](const std::byte* begin, int64_t row) {
    return begin == nullptr ? std::span<const std::byte>()
                            : std::span(begin, static_cast<size_t>(rows * row));
  };
  return {part(data, row_bytes(format.encoding, stored_cols())), part(mask, mask_row_bytes(cols)),
          part(scales, groups() * bytes_of_scale()), part(zero_points, groups())};
}

float Weight::scale(int64_t i) const noexcept {
  float scale;
  decode_values(format.scale_type, scales + i * bytes_of_scale(), 1, &scale);
  return scale;
}

int64_t Weight::bytes() const {
  size_t bytes = 0;
  for (const auto& part : parts()) bytes += part.size();
  return static_cast<int64_t>(bytes);
}

Weight Weight::from_matrix(MatrixView<const float> values, const WeightFormat& format) {
  return encode_matrix(values, format);
}
Weight Weight::from_matrix(MatrixView<const double> values, const WeightFormat& format) {
  return encode_matrix(values, format);
}

Weight Weight::of_values(Matrix<float> values) {
  auto owner = std::make_shared<const Matrix<float>>(std::move(values));
  Weight weight = view_of(owner->view());
  weight.owner = std::move(owner);
  return weight;
}

Weight Weight::view_of(MatrixView<const float> values) {
  PARE_CHECK(values.stride == values.cols);
  Weight weight;
  weight.rows = values.rows;
  weight.cols = values.cols;
  weight.data = reinterpret_cast<const std::byte*>(values.data);
  return weight;
}

void release_pages(const Weight& weight) {
  if (!weight.mapped) return;
  for (const auto& part : weight.parts()) drop_pages(part);
}

bool all_finite(const Weight& weight) {
  constexpr int64_t kRows = 256;
  std::atomic<bool> finite = true;
  parallel_for((weight.rows + kRows - 1) / kRows, [&](int64_t chunk) {
    std::vector<float> scratch;
    for (int64_t r = chunk * kRows; r < std::min(weight.rows, (chunk + 1) * kRows); ++r)
      if (!row_is_finite(weight, r, scratch)) finite = false;
  });
  return finite;
}

Weight rows_of(const Weight& weight, int64_t first, int64_t count) {
  PARE_CHECK(first >= 0 && count >= 0 && first + count <= weight.rows);
  Weight part = weight;
  part.rows = count;
  part.data += first * stride_of(weight);
  if (part.mask != nullptr) part.mask += first * Weight::mask_row_bytes(weight.cols);
  if (part.scales != nullptr) part.scales += first * weight.groups() * weight.bytes_of_scale();
  if (part.zero_points != nullptr) part.zero_points += first * weight.groups();
  return part;
}

Weight gather_rows(const Weight& weight, std::span<const int64_t> order) {
  Weight result = weight;
  result.rows = static_cast<int64_t>(order.size());
  result.mapped = false;
  const auto buffer = std::make_shared<AlignedBuffer<std::byte>>(static_cast<size_t>(result.bytes()));
  std::byte* next = buffer->data();
  const auto gather = [&](const std::byte*& source, int64_t stride) {
    if (source == nullptr) return;
    const std::byte* from = std::exchange(source, next);
    for (const int64_t r : order) {
      std::memcpy(next, from + r * stride, static_cast<size_t>(stride));
      next += stride;
    }
  };
  gather(result.data, stride_of(weight));
  gather(result.mask, Weight::mask_row_bytes(weight.cols));
  gather(result.scales, weight.groups() * weight.bytes_of_scale());
  gather(result.zero_points, weight.groups());
  result.owner = buffer;
  return result;
}

void decode_row(const Weight& weight, int64_t r, float* out) noexcept {
  float* next = decode_stored(weight, r, out);
  if (weight.scales != nullptr) multiply_by_scales(weight, r, next);
  spread(weight, r, next, out);
}

int64_t stacked_rows(std::span<const Weight> stack) {
  int64_t rows = 0;
  for (const Weight& weight : stack) rows += weight.rows;
  return rows;
}

const Weight& weight_of_row(std::span<const Weight> stack, int64_t& r) noexcept {
  size_t i = 0;
  for (; r >= stack[i].rows; ++i) r -= stack[i].rows;
  return stack[i];
}

void decode_row(std::span<const Weight> stack, int64_t r, float* out) noexcept {
  const Weight& weight = weight_of_row(stack, r);
  decode_row(weight, r, out);
}

float int8_row(std::span<const Weight> stack, int64_t r, float* out) noexcept {
  const Weight& weight = weight_of_row(stack, r);
  if (weight.format.encoding == Encoding::kInt8 && weight.format.group == 0) {
    const float scale = weight.scale(r);
    if (scale == 0.0f)  // a scale of 0: the values follow any pattern, whatever the codes do
      std::fill_n(out, weight.cols, 0.0f);
    else
      spread(weight, r, decode_stored(weight, r, out), out);
    return scale;
  }
  decode_row(weight, r, out);
  return round_to_int8(out, weight.cols, out);
}

Matrix<float> decode(const Weight& weight) {
  Matrix<float> values(weight.rows, weight.cols);
  constexpr int64_t kRows = 64;
  parallel_for((weight.rows + kRows - 1) / kRows, [&](int64_t chunk) {
    for (int64_t r = chunk * kRows; r < std::min(weight.rows, (chunk + 1) * kRows); ++r)
      decode_row(weight, r, values.row(r));
  });
  return values;
}

Matrix<double> decode_f64(const Weight& weight) {
  Matrix<double> values(weight.rows, weight.cols);
  std::vector<float> row(static_cast<size_t>(weight.cols));
  for (int64_t r = 0; r < weight.rows; ++r) {
    decode_row(weight, r, row.data());
    std::copy(row.begin(), row.end(), values.row(r));
  }
  return values;
}

}  // namespace pare
