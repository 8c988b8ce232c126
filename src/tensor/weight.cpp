#include "tensor/weight.h"

#include <vector>

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

}  // namespace

Weight Weight::from_matrix(MatrixView<const float> values, Encoding encoding) {
  return encode_matrix(values, encoding);
}
Weight Weight::from_matrix(MatrixView<const double> values, Encoding encoding) {
  return encode_matrix(values, encoding);
}

void decode_row(const Weight& weight, int64_t r, float* out) noexcept {
  const EncodingInfo& info = encoding_info(weight.encoding);
  const int64_t stride = weight.cols / info.block_values * info.block_bytes;
  decode_values(weight.encoding, weight.data + r * stride, weight.cols, out);
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
