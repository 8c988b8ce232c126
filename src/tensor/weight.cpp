#include "tensor/weight.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>
#include <vector>

#include "base/mapped_file.h"
#include "base/parallel.h"
#include "tensor/int8_row.h"

namespace pare {
namespace {

// Stored values of a row, and their bytes. The columns were checked when the weight was made.
int64_t stored_of(const Weight& weight) noexcept {
  return weight.pattern.dense() ? weight.cols : weight.cols / weight.pattern.group * weight.pattern.kept;
}

int64_t stride_of(const Weight& weight) noexcept {
  const EncodingInfo& info = encoding_info(weight.encoding);
  return stored_of(weight) / info.block_values * info.block_bytes;
}

float scale_of(const Weight& weight, int64_t r) noexcept {
  float scale;
  std::memcpy(&scale, weight.scales + r * static_cast<int64_t>(sizeof(float)), sizeof(float));
  return scale;
}

template <typename T>
Weight encode_matrix(MatrixView<const T> values, Encoding encoding) {
  Weight weight;
  weight.encoding = encoding;
  weight.rows = values.rows;
  weight.cols = values.cols;
  const bool scaled = encoding == Encoding::kInt8;
  const int64_t stride = row_bytes(encoding, values.cols);
  const int64_t scale_bytes = scaled ? values.rows * static_cast<int64_t>(sizeof(float)) : 0;
  // Scales come first, so that they are aligned.
  auto buffer =
      std::make_shared<AlignedBuffer<std::byte>>(static_cast<size_t>(scale_bytes + values.rows * stride));
  std::byte* data = buffer->data() + scale_bytes;
  constexpr int64_t kRows = 64;
  parallel_for((values.rows + kRows - 1) / kRows, [&](int64_t piece) {
    std::vector<float> row(static_cast<size_t>(values.cols));
    for (int64_t r = piece * kRows; r < std::min(values.rows, (piece + 1) * kRows); ++r) {
      for (int64_t c = 0; c < values.cols; ++c)
        row[static_cast<size_t>(c)] = static_cast<float>(values(r, c));
      if (!scaled) {
        encode_values(encoding, row.data(), values.cols, data + r * stride);
        continue;
      }
      const float scale = round_to_int8(row.data(), values.cols, row.data());
      std::memcpy(buffer->data() + r * static_cast<int64_t>(sizeof(float)), &scale, sizeof(float));
      for (int64_t c = 0; c < values.cols; ++c)
        data[r * stride + c] = static_cast<std::byte>(static_cast<int8_t>(row[static_cast<size_t>(c)]));
    }
  });
  weight.data = data;
  if (scaled) weight.scales = buffer->data();
  weight.owner = std::move(buffer);
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
  const int64_t stored = stored_of(weight);
  switch (weight.encoding) {
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

}  // namespace

int64_t Weight::stored_cols(int64_t cols, Pattern pattern) {
  if (pattern.dense()) return cols;
  if (cols % pattern.group != 0)
    fail(ErrorCode::kFormat, "rows of {} values do not divide into groups of {}", cols, pattern.group);
  return cols / pattern.group * pattern.kept;
}

std::array<std::span<const std::byte>, 3> Weight::parts() const {
  const auto part = [&](const std::byte* begin, int64_t row) {
    return begin == nullptr ? std::span<const std::byte>()
                            : std::span(begin, static_cast<size_t>(rows * row));
  };
  return {part(data, row_bytes(encoding, stored_cols())), part(mask, mask_row_bytes(cols)),
          part(scales, sizeof(float))};
}

int64_t Weight::bytes() const {
  size_t bytes = 0;
  for (const auto& part : parts()) bytes += part.size();
  return static_cast<int64_t>(bytes);
}

Weight Weight::from_matrix(MatrixView<const float> values, Encoding encoding) {
  return encode_matrix(values, encoding);
}
Weight Weight::from_matrix(MatrixView<const double> values, Encoding encoding) {
  return encode_matrix(values, encoding);
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
  if (part.scales != nullptr) part.scales += first * static_cast<int64_t>(sizeof(float));
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
  gather(result.scales, sizeof(float));
  result.owner = buffer;
  return result;
}

void decode_row(const Weight& weight, int64_t r, float* out) noexcept {
  const std::byte* row = weight.data + r * stride_of(weight);
  const int64_t stored = stored_of(weight);
  // The stored values come to stand at the end of the row and move forwards from there: never past a column
  // that is still to be read.
  float* next = out + weight.cols - stored;
  decode_values(weight.encoding, row, stored, next);
  if (weight.scales != nullptr) {
    const float scale = scale_of(weight, r);
    for (int64_t i = 0; i < stored; ++i) next[i] *= scale;
  }
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

int64_t stacked_rows(std::span<const Weight> stack) {
  int64_t rows = 0;
  for (const Weight& weight : stack) rows += weight.rows;
  return rows;
}

void decode_row(std::span<const Weight> stack, int64_t r, float* out) noexcept {
  size_t i = 0;
  for (; r >= stack[i].rows; ++i) r -= stack[i].rows;
  decode_row(stack[i], r, out);
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
