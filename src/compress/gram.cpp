#include "compress/gram.h"

#include <algorithm>
#include <utility>

#include "base/aligned_buffer.h"
#include "base/parallel.h"
#include "kernels/column_products.h"
#include "kernels/cpu_features.h"

namespace pare {
namespace {

constexpr int64_t kChunkStrips = 2;  // strips of tokens whose products are summed in f32
constexpr int64_t kChunkTokens = kChunkStrips * kStripTokens;
constexpr int64_t kSquare = 8 * kStripChannels;  // of the result at once: its sums and strips stay in L2

// Where tiles take less time than f32 with its third of the products.
constexpr int64_t kFewestChannels = 64;
constexpr int64_t kFewestTokens = 32;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

bool use_tiles(int64_t tokens, int64_t channels) {
  return active_isa() >= Isa::kAmx && channels >= kFewestChannels && tokens >= kFewestTokens;
}

// Strips of a chunk of tokens, the channels' behind each other for each strip of tokens.
class Strips {
 public:
  enum class Side { kLeft, kRight };

  Strips(MatrixView<const float> x, const double* row_weights, Side side)
      : tokens_(x.rows),
        strips_(ceil_div(x.cols, kStripChannels)),
        bytes_(static_cast<size_t>(ceil_div(x.rows, kStripTokens) * strips_ * kStripBytes)) {
    parallel_for(strips_, [&](int64_t s) {
      const int64_t c = s * kStripChannels;
      const int64_t channels = std::min(kStripChannels, x.cols - c);
      for (int64_t i = 0; i * kStripTokens < tokens_; ++i) {
        const float* from = x.row(i * kStripTokens) + c;
        if (side == Side::kRight)
          pack_right_strip_amx(from, x.stride, tokens_of(i), channels, at(i, s));
        else
          pack_left_strip_amx(from, x.stride, tokens_of(i), channels,
                              row_weights == nullptr ? nullptr : row_weights + i * kStripTokens, at(i, s));
      }
    });
  }

  int64_t token_strips() const { return ceil_div(tokens_, kStripTokens); }
  int64_t tokens_of(int64_t i) const { return std::min(kStripTokens, tokens_ - i * kStripTokens); }
  const unsigned char* at(int64_t i, int64_t s) const { return bytes_.data() + offset(i, s); }

 private:
  int64_t offset(int64_t i, int64_t s) const { return (i * strips_ + s) * kStripBytes; }
  unsigned char* at(int64_t i, int64_t s) { return bytes_.data() + offset(i, s); }

  int64_t tokens_;
  int64_t strips_;  // of the channels
  AlignedBuffer<unsigned char> bytes_;
};

// c += the products of the strips from `left_first` and `right_first` on; of the strips right of the diagonal
// none when `lower`.
void add_square(const Strips& left, int64_t left_first, const Strips& right, int64_t right_first, bool lower,
                MatrixView<double> c) {
  constexpr int64_t kSums = kStripChannels * kStripChannels;
  thread_local AlignedBuffer<float> sums(static_cast<size_t>(kSquare * kSquare));
  const int64_t rows = ceil_div(c.rows, kStripChannels);
  const int64_t cols = ceil_div(c.cols, kStripChannels);
  const auto cols_of = [&](int64_t r) {
    return lower ? std::min(cols, left_first + r + 1 - right_first) : cols;
  };
  begin_strip_products_amx();
  for (int64_t i = 0; i < left.token_strips(); ++i)
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t q = 0; q < cols_of(r); ++q)
        strip_product_amx(left.at(i, left_first + r), right.at(i, right_first + q), left.tokens_of(i), i > 0,
                          sums.data() + (r * cols + q) * kSums);
  end_strip_products_amx();
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t q = 0; q < cols_of(r); ++q) {
      const int64_t row = r * kStripChannels;
      const int64_t col = q * kStripChannels;
      add_strip_sums_amx(sums.data() + (r * cols + q) * kSums, std::min(kStripChannels, c.rows - row),
                         std::min(kStripChannels, c.cols - col), c.row(row) + col, c.stride);
    }
}

// C += XᵀY, by chunks of tokens; below and on the diagonal when `lower`.
void add_chunks(MatrixView<const float> x, MatrixView<const float> y, const double* row_weights, bool lower,
                MatrixView<double> c) {
  for (int64_t t = 0; t < x.rows; t += kChunkTokens) {
    const int64_t tokens = std::min(kChunkTokens, x.rows - t);
    const Strips left(x.rows_of(t, tokens), row_weights == nullptr ? nullptr : row_weights + t,
                      Strips::Side::kLeft);
    const Strips right(y.rows_of(t, tokens), nullptr, Strips::Side::kRight);
    const int64_t across = ceil_div(c.cols, kSquare);
    parallel_for(ceil_div(c.rows, kSquare) * across, [&](int64_t i) {
      const int64_t row = i / across * kSquare;
      const int64_t col = i % across * kSquare;
      if (lower && col > row) return;
      add_square(left, row / kStripChannels, right, col / kStripChannels, lower,
                 c.block(row, col, std::min(kSquare, c.rows - row), std::min(kSquare, c.cols - col)));
    });
  }
}

}  // namespace

void gram_accumulate(MatrixView<const float> x, const double* row_weights, MatrixView<double> h) {
  PARE_CHECK(h.rows == x.cols && h.cols == x.cols);
  if (!use_tiles(x.rows, x.cols)) return gram_accumulate_f32(x, row_weights, h);
  add_chunks(x, x, row_weights, true, h);
}

Matrix<double> gram_total(ChunkSum&& sum) {
  Matrix<double> h = std::move(sum).total();
  mirror_lower(h.view());
  return h;
}

void cross_accumulate(MatrixView<const float> x, MatrixView<const float> y, const double* row_weights,
                      MatrixView<double> c) {
  PARE_CHECK(x.rows == y.rows && c.rows == x.cols && c.cols == y.cols);
  if (!use_tiles(x.rows, std::min(x.cols, y.cols))) return cross_accumulate_f32(x, y, row_weights, c);
  add_chunks(x, y, row_weights, false, c);
}

}  // namespace pare
