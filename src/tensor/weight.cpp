#include "tensor/weight.h"

#include <atomic>
#include <cstring>
#include <vector>

#include "base/mapped_file.h"
#include "base/parallel.h"

namespace pare {
namespace {

template <typename T>
Weight encode_matrix(MatrixView<const T> values, Encoding encoding) {
  Weight weight;
  weight.encoding = encoding;
  weight.rows = values.rows;
  weight.cols = values.cols;
  const int64_t stride = row_bytes(encoding, values.cols);
  auto buffer = std::make_shared<AlignedBuffer<std::byte>>(static_cast<size_t>(values.rows * stride));
  std::vector<float> row(static_cast<size_t>(values.cols));
  for (int64_t r = 0; r < values.rows; ++r) {
    for (int64_t c = 0; c < values.cols; ++c) row[static_cast<size_t>(c)] = static_cast<float>(values(r, c));
    encode_values(encoding, row.data(), values.cols, buffer->data() + r * stride);
  }
  weight.data = buffer->data();
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
  const std::byte* row = weight.data + r * row_bytes(weight.encoding, weight.cols);
  switch (weight.encoding) {
    case Encoding::kF32:
      return exponents_below<int32_t>(row, weight.cols, 0x7f800000);
    case Encoding::kBF16:
      return exponents_below<int16_t>(row, weight.cols, 0x7f80);
    case Encoding::kF16:
      return exponents_below<int16_t>(row, weight.cols, 0x7c00);
    default:
      scratch.resize(static_cast<size_t>(weight.cols));
      decode_row(weight, r, scratch.data());
      return exponents_below<int32_t>(reinterpret_cast<const std::byte*>(scratch.data()), weight.cols,
                                      0x7f800000);
  }
}

}  // namespace

Weight Weight::from_matrix(MatrixView<const float> values, Encoding encoding) {
  return encode_matrix(values, encoding);
}
Weight Weight::from_matrix(MatrixView<const double> values, Encoding encoding) {
  return encode_matrix(values, encoding);
}

void release_pages(const Weight& weight) {
  if (weight.mapped) drop_pages({weight.data, static_cast<size_t>(weight.bytes())});
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

void decode_row(const Weight& weight, int64_t r, float* out) noexcept {
  const EncodingInfo& info = encoding_info(weight.encoding);
  const int64_t stride = weight.cols / info.block_values * info.block_bytes;
  decode_values(weight.encoding, weight.data + r * stride, weight.cols, out);
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
