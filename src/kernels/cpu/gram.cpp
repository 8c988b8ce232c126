#include "kernels/cpu/gram.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/parallel.h"
#include "kernels/cpu/column_products.h"
#include "linalg/linalg.h"

namespace pare {
namespace {

constexpr int kGramParts = 2;        // bf16 parts of a value in Gram matrices
constexpr int64_t kChunkStrips = 2;  // strips of tokens whose products are summed in f32
constexpr int64_t kChunkTokens = kChunkStrips * kStripTokens;
constexpr int64_t kSquare = 8 * kStripChannels;  // width of a square: its sums and strips stay in L2

// Fewest channels at which tiles take less time than f32 with its third of the products.
constexpr int64_t kFewestChannels = 64;
constexpr int64_t kFewestTokens = 32;

constexpr int64_t kTogether = 8;  // strips whose sums stay in L2 while those of all tokens are added

constexpr double kRoundingOnTiles = 0x1p-14;  // 2⁻¹⁷ of the magnitudes of products, which may add up

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

bool use_tiles(Isa isa, int64_t tokens, int64_t channels) {
  return isa >= Isa::kAmx && channels >= kFewestChannels && tokens >= kFewestTokens;
}

// Strips of a chunk of tokens, the channels' behind each other for each strip of tokens.
class Strips {
 public:
  enum class Side { kLeft, kRight };

  // `parts`: bf16 parts of a value.
  Strips(MatrixView<const float> x, const double* row_weights, int parts, Side side)
      : tokens_(x.rows),
        parts_(parts),
        strips_(ceil_div(x.cols, kStripChannels)),
        bytes_(static_cast<size_t>(ceil_div(x.rows, kStripTokens) * strips_ * strip_bytes(parts))) {
    parallel_for(strips_, [&](int64_t s) {
      const int64_t c = s * kStripChannels;
      const int64_t channels = std::min(kStripChannels, x.cols - c);
      for (int64_t i = 0; i * kStripTokens < tokens_; ++i) {
        const float* from = x.row(i * kStripTokens) + c;
        if (side == Side::kRight)
          pack_right_strip_amx(from, x.stride, tokens_of(i), channels, parts, at(i, s));
        else
          pack_left_strip_amx(from, x.stride, tokens_of(i), channels,
                              row_weights == nullptr ? nullptr : row_weights + i * kStripTokens, parts,
                              at(i, s));
      }
    });
  }

  int64_t count() const { return strips_; }
  int64_t token_strips() const { return ceil_div(tokens_, kStripTokens); }
  int64_t tokens_of(int64_t i) const { return std::min(kStripTokens, tokens_ - i * kStripTokens); }
  const unsigned char* at(int64_t i, int64_t s) const { return bytes_.data() + offset(i, s); }

 private:
  int64_t offset(int64_t i, int64_t s) const { return (i * strips_ + s) * strip_bytes(parts_); }
  unsigned char* at(int64_t i, int64_t s) { return bytes_.data() + offset(i, s); }

  int64_t tokens_;
  int parts_;
  int64_t strips_;  // strips of the channels
  AlignedBuffer<unsigned char> bytes_;
};

// A square of the result in strips, and where it lies.
struct Square {
  int64_t row;
  int64_t col;
  int64_t rows;
  int64_t cols;
  bool lower;  // without the strips right of the diagonal
};

// Calls use(row, col, sums) with the products of each two strips of a square, summed over the chunk's tokens.
template <typename Use>
void for_each_product(const Strips& left, const Strips& right, const Square& square, Use&& use) {
  constexpr int64_t kSums = kStripChannels * kStripChannels;
  thread_local AlignedBuffer<float> sums(static_cast<size_t>(kSquare * kSquare));
  const auto end_of = [&](int64_t r) {
    const int64_t end = square.col + square.cols;
    return square.lower ? std::min(end, r + 1) : end;
  };
  const auto sums_of = [&](int64_t r, int64_t c) {
    return sums.data() + ((r - square.row) * square.cols + c - square.col) * kSums;
  };
  begin_strip_products_amx();
  for (int64_t i = 0; i < left.token_strips(); ++i)
    for (int64_t r = square.row; r < square.row + square.rows; ++r)
      for (int64_t c = square.col; c < end_of(r); ++c)
        strip_product_amx(left.at(i, r), right.at(i, c), left.tokens_of(i), kGramParts, i > 0, sums_of(r, c),
                          kStripChannels);
  end_strip_products_amx();
  for (int64_t r = square.row; r < square.row + square.rows; ++r)
    for (int64_t c = square.col; c < end_of(r); ++c) use(r, c, sums_of(r, c));
}

// Calls work(index, square) for the squares of a result (rows, cols), in parallel; left of and on the
// diagonal only when `lower`.
template <typename Work>
void for_each_square(int64_t rows, int64_t cols, bool lower, Work&& work) {
  constexpr int64_t kStrips = kSquare / kStripChannels;
  const int64_t row_strips = ceil_div(rows, kStripChannels);
  const int64_t col_strips = ceil_div(cols, kStripChannels);
  const int64_t across = ceil_div(cols, kSquare);
  parallel_for(ceil_div(rows, kSquare) * across, [&](int64_t i) {
    const int64_t row = i / across * kStrips;
    const int64_t col = i % across * kStrips;
    if (!lower || col <= row)
      work(i,
           Square{row, col, std::min(kStrips, row_strips - row), std::min(kStrips, col_strips - col), lower});
  });
}

// C += XᵀY, by chunks of tokens; below and on the diagonal when `lower`.
void add_chunks(MatrixView<const float> x, MatrixView<const float> y, const double* row_weights, bool lower,
                MatrixView<double> c) {
  for (int64_t t = 0; t < x.rows; t += kChunkTokens) {
    const int64_t tokens = std::min(kChunkTokens, x.rows - t);
    const Strips left(x.rows_of(t, tokens), row_weights == nullptr ? nullptr : row_weights + t, kGramParts,
                      Strips::Side::kLeft);
    const Strips right(y.rows_of(t, tokens), nullptr, kGramParts, Strips::Side::kRight);
    for_each_square(c.rows, c.cols, lower, [&](int64_t, const Square& square) {
      for_each_product(left, right, square, [&](int64_t r, int64_t q, const float* sums) {
        const int64_t row = r * kStripChannels;
        const int64_t col = q * kStripChannels;
        add_strip_sums_amx(sums, std::min(kStripChannels, c.rows - row),
                           std::min(kStripChannels, c.cols - col), c.row(row) + col, c.stride);
      });
    });
  }
}

// Adds the products of two strips of one part to the columns from `col` on of c (up to 32, columns).
void add_product(const unsigned char* left, const unsigned char* right, int64_t tokens, int64_t col,
                 MatrixView<float> c) {
  if (c.rows == kStripChannels && col + kStripChannels <= c.cols)
    return strip_product_amx(left, right, tokens, 1, true, c.row(0) + col, c.stride);
  alignas(64) float sums[kStripChannels * kStripChannels];
  strip_product_amx(left, right, tokens, 1, false, sums, kStripChannels);
  for (int64_t r = 0; r < c.rows; ++r)
    for (int64_t j = col; j < std::min(c.cols, col + kStripChannels); ++j)
      c(r, j) += sums[r * kStripChannels + j - col];
}

// ⟨XᵀX, H⟩ for H (n, n) symmetric.
double inner_product(MatrixView<const float> x, MatrixView<const double> h) {
  const int64_t squares = ceil_div(h.rows, kSquare);
  double total = 0.0;
  for (int64_t t = 0; t < x.rows; t += kChunkTokens) {
    const MatrixView<const float> chunk = x.rows_of(t, std::min(kChunkTokens, x.rows - t));
    const Strips left(chunk, nullptr, kGramParts, Strips::Side::kLeft);
    const Strips right(chunk, nullptr, kGramParts, Strips::Side::kRight);
    std::vector<double> parts(static_cast<size_t>(squares * squares), 0.0);
    for_each_square(h.rows, h.cols, true, [&](int64_t i, const Square& square) {
      for_each_product(left, right, square, [&](int64_t r, int64_t q, const float* sums) {
        const int64_t row = r * kStripChannels;
        const int64_t col = q * kStripChannels;
        const double part =
            strip_inner_product_amx(sums, std::min(kStripChannels, h.rows - row),
                                    std::min(kStripChannels, h.cols - col), h.row(row) + col, h.stride);
        parts[static_cast<size_t>(i)] += r == q ? part : 2.0 * part;
      });
    });
    total = std::accumulate(parts.begin(), parts.end(), total);
  }
  return total;
}

}  // namespace

double gram_rounding(Isa isa) { return isa >= Isa::kAmx ? kRoundingOnTiles : kGramRoundingF32; }

void add_gram(Isa isa, MatrixView<const float> x, const double* row_weights, MatrixView<double> h) {
  PARE_CHECK(h.rows == x.cols && h.cols == x.cols);
  if (!use_tiles(isa, x.rows, x.cols)) return gram_accumulate_f32(x, row_weights, h);
  add_chunks(x, x, row_weights, true, h);
}

void add_cross(Isa isa, MatrixView<const float> x, MatrixView<const float> y, const double* row_weights,
               MatrixView<double> c) {
  PARE_CHECK(x.rows == y.rows && c.rows == x.cols && c.cols == y.cols);
  if (!use_tiles(isa, x.rows, std::min(x.cols, y.cols))) return cross_accumulate_f32(x, y, row_weights, c);
  add_chunks(x, y, row_weights, false, c);
}

double gram_inner_product(Isa isa, MatrixView<const float> x, MatrixView<const double> h) {
  PARE_CHECK(h.rows == x.cols && h.cols == x.cols);
  return use_tiles(isa, x.rows, x.cols) ? inner_product(x, h) : gram_inner_product_f32(x, h);
}

bool has_products_on_tiles(Isa isa, int64_t tokens, int64_t channels) {
  return use_tiles(isa, tokens, channels);
}

void add_products_on_tiles(MatrixView<const float> x, MatrixView<const float> y, MatrixView<float> c) {
  PARE_CHECK(x.rows == y.rows && c.rows == x.cols && c.cols == y.cols);
  const Strips right(y, nullptr, 1, Strips::Side::kRight);
  parallel_for(ceil_div(c.rows, kSquare), [&](int64_t piece) {
    const int64_t row = piece * kSquare;
    const int64_t rows = std::min(kSquare, c.rows - row);
    const Strips left(x.block(0, row, x.rows, rows), nullptr, 1, Strips::Side::kLeft);
    begin_strip_products_amx();
    for (int64_t r = 0; r < left.count(); ++r)
      for (int64_t q = 0; q < right.count(); q += kTogether)
        for (int64_t i = 0; i < left.token_strips(); ++i)
          for (int64_t s = q; s < std::min(right.count(), q + kTogether); ++s)
            add_product(
                left.at(i, r), right.at(i, s), left.tokens_of(i), s * kStripChannels,
                c.rows_of(row + r * kStripChannels, std::min(kStripChannels, rows - r * kStripChannels)));
    end_strip_products_amx();
  });
}

}  // namespace pare
