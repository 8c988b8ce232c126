#include "kernels/cpu/panel_linear.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "base/bf16.h"
#include "base/parallel.h"
#include "kernels/cpu/pack_codes.h"

namespace pare {
namespace {

constexpr int64_t kTileColumns = 32;  // columns of a tile of tokens
constexpr int64_t kTokenBlock = 512;  // tokens packed at a time: bounds the scratch memory
constexpr int64_t kStreamPanels = 4;  // panels that one pass reads side by side
constexpr int64_t kStreamPiecesPerThread = 3;
constexpr int64_t kGemmPiecePanels = 16;  // 256 outputs: the piece of y stays in L2 over the passes
constexpr int64_t kFewValues = 1 << 16;   // values of x, 256 KB, that L2 keeps beside the weights that pass
constexpr int64_t kAmxTokens = 5;         // tokens from which tile products beat one pass of multiply-adds

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// Scratch that grows to the largest request of its thread and stays.
template <typename T, int kSlot>
T* scratch(int64_t size) {
  thread_local AlignedBuffer<T> buffer;
  if (buffer.size() < static_cast<size_t>(size)) buffer = AlignedBuffer<T>(static_cast<size_t>(size));
  return buffer.data();
}

// Writes x (tokens, columns) as (columns / together, tokens, together) with together = 1 or kGroup; zeros
// fill up the last columns. Returns the values written. All rows advance together, each a stream that is
// fetched ahead.
int64_t interleave(MatrixView<const float> x, int64_t together, float* out) {
  const int64_t n = x.rows;
  const int64_t whole = x.cols / kGroup * kGroup;
  for (int64_t k = 0; k < whole; k += kGroup)
    for (int64_t t = 0; t < n; ++t) {
      const float* from = x.row(t) + k;
      if (together == kGroup) {
        std::copy_n(from, kGroup, out + k * n + t * kGroup);
      } else {
        float* to = out + k * n + t;
        to[0] = from[0];
        to[n] = from[1];
        to[2 * n] = from[2];
        to[3 * n] = from[3];
      }
    }
  const int64_t written = n * round_up(x.cols, together);
  std::fill(out + n * whole, out + written, 0.0f);
  for (int64_t k = whole; k < x.cols; ++k)
    for (int64_t t = 0; t < n; ++t) out[k / together * together * n + t * together + k % together] = x(t, k);
  return written;
}

class PanelLinear final : public HostLinear {
 public:
  PanelLinear(std::span<const Weight> stack, std::string_view name, const PanelKernels& kernels,
              const AmxKernels* amx)
      : HostLinear(stacked_rows(stack), stack[0].cols, name),
        kernels_(kernels),
        amx_(amx),
        block_(panel_block(kernels.format)),
        panels_(ceil_div(out_features(), kPanelRows)),
        columns_(round_up(in_features(), block_.columns)),
        packed_(static_cast<size_t>(panels_ * panel_bytes())) {
    if (block_.scales) scales_ = AlignedBuffer<float>(static_cast<size_t>(panels_ * kPanelRows));
    if (has_codes(kernels.format)) {
      const std::array<int8_t, 64> levels = code_format(stack[0])->levels;
      std::transform(levels.begin(), levels.end(), levels_.begin(),
                     [](int8_t level) { return static_cast<unsigned char>(level + kLevelBias); });
      parallel_for(panels_, [&](int64_t p) { pack_panel_codes(stack, p); });
    } else {
      parallel_for(panels_, [&](int64_t p) { pack_panel(stack, p); });
    }
    scaled_ = std::any_of(scales_.data(), scales_.data() + scales_.size(), [](float s) { return s != 1.0f; });
  }

  int64_t weight_bytes() const override {
    return static_cast<int64_t>(packed_.size() + scales_.size() * sizeof(float));
  }

  void multiply(MatrixView<const float> x, MatrixView<float> y) const noexcept override {
    for (int64_t t = 0; t < x.rows; t += kTokenBlock) {
      const int64_t n = std::min(kTokenBlock, x.rows - t);
      if (amx_ != nullptr && n >= (has_codes(kernels_.format) ? kernels_.wide_tokens : kAmxTokens))
        apply_amx(x.rows_of(t, n), y.rows_of(t, n));
      else if (n <= kernels_.gemv_tokens)
        apply_gemv(x.rows_of(t, n), y.rows_of(t, n));
      else
        apply_gemm(x.rows_of(t, n), y.rows_of(t, n));
    }
  }

 private:
  // Bytes of `columns` columns of a panel, whole blocks.
  int64_t bytes_of(int64_t columns) const { return columns / block_.columns * block_.bytes; }
  int64_t panel_bytes() const { return bytes_of(columns_); }
  // Valid outputs of `panels` panels from `first` on.
  int64_t outputs(int64_t first, int64_t panels) const {
    return std::min(out_features(), (first + panels) * kPanelRows) - first * kPanelRows;
  }
  const unsigned char* panel(int64_t p) const { return packed_.data() + p * panel_bytes(); }
  const float* scales(int64_t p) const {
    return scales_.size() == 0 ? nullptr : scales_.data() + p * kPanelRows;
  }

  void pack_panel(std::span<const Weight> stack, int64_t p) {
    float* rows = scratch<float, 0>(kPanelRows * columns_);
    for (int64_t lane = 0; lane < kPanelRows; ++lane) {
      float* row = rows + lane * columns_;
      const int64_t r = p * kPanelRows + lane;
      const bool exists = r < out_features();
      if (block_.scales)
        scales_[static_cast<size_t>(r)] = exists ? int8_row(stack, r, row) : 0.0f;
      else if (exists)
        decode_row(stack, r, row);
      std::fill(row + (exists ? in_features() : 0), row + columns_, 0.0f);
    }
    kernels_.pack(rows, columns_, packed_.data() + p * panel_bytes());
  }

  void pack_panel_codes(std::span<const Weight> stack, int64_t p) {
    const int64_t first = p * kPanelRows;
    std::vector<RowCodes> rows(static_cast<size_t>(outputs(p, 1)));
    float* factors = scales_.data() + first;
    std::fill_n(factors, kPanelRows, 0.0f);
    for (size_t lane = 0; lane < rows.size(); ++lane)
      factors[lane] = take_codes(stack, first + static_cast<int64_t>(lane), rows[lane]);
    pack_codes(kernels_.format, rows, columns_, packed_.data() + p * panel_bytes());
  }

  // Packs columns [k0, k1) of tokens [t0, t0 + n) as PanelJob::x of `kernels`. Columns past the input are 0.
  void pack_tokens(const PanelKernels& kernels, MatrixView<const float> x, int64_t t0, int64_t n, int64_t k0,
                   int64_t k1, float* out) const {
    const int64_t known = std::min(k1, x.cols) - k0;
    if (kernels.pack_x != nullptr) return kernels.pack_x(x.row(t0) + k0, x.stride, n, known, k1 - k0, out);
    const int64_t filled = interleave(x.block(t0, k0, n, known), panel_block(kernels.format).together, out);
    if (block_.rounds_x)
      for (int64_t i = 0; i < filled; ++i) out[i] = nearest_bf16(out[i]);
    std::fill(out + filled, out + n * (k1 - k0), 0.0f);
  }

  // Panels of a piece where reading the weights from memory takes the time. Long pieces stream best. Several
  // a thread are made, so that one that is late does not hold up the other.
  int64_t stream_piece() const {
    const int64_t pieces = thread_count() == 1 ? 1 : kStreamPiecesPerThread * thread_count();
    return std::max(kStreamPanels, round_up(ceil_div(panels_, pieces), kStreamPanels));
  }

  void apply_gemv(MatrixView<const float> x, MatrixView<float> y) const {
    float* packed = scratch<float, 1>(columns_ * x.rows);
    pack_tokens(kernels_, x, 0, x.rows, 0, columns_, packed);
    const int64_t piece = stream_piece();
    parallel_for(ceil_div(panels_, piece), [&](int64_t i) {
      const int64_t first = i * piece;
      const int64_t count = std::min(piece, panels_ - first);
      kernels_.run({panel(first), panel_bytes(), count, columns_, packed, x.rows, y.data + first * kPanelRows,
                    y.stride, outputs(first, count), false, scales(first), levels()});
    });
  }

  // Bytes of `columns` columns of a widened panel.
  int64_t wide_bytes(int64_t columns) const {
    const PanelBlock block = panel_block(kernels_.wide->format);
    return columns / block.columns * block.bytes;
  }

  // Returns `count` panels from w on, `columns` columns of each from k on, as panels of the widened format.
  const unsigned char* widened(const unsigned char* w, int64_t count, int64_t k, int64_t columns) const {
    const int64_t slice_bytes = wide_bytes(kSliceColumns);
    unsigned char* const wide = scratch<unsigned char, 4>(wide_bytes(columns) * count);
    unsigned char* out = wide;
    for (int64_t p = 0; p < count; ++p)
      for (int64_t c = k; c < k + columns; c += kSliceColumns, out += slice_bytes)
        kernels_.widen(w + p * panel_bytes(), c / kSliceColumns, levels(), out);
    return wide;
  }

  void apply_gemm(MatrixView<const float> x, MatrixView<float> y) const {
    const bool wide = kernels_.wide != nullptr && x.rows >= kernels_.wide_tokens;
    const PanelKernels& kernels = wide ? *kernels_.wide : kernels_;
    const int64_t tiles = ceil_div(x.rows, kernels.max_tokens);
    const auto tile_start = [&](int64_t tile) { return tile * x.rows / tiles; };
    const int64_t pass_columns = kernels.gemm_columns;
    const int64_t passes = ceil_div(columns_, pass_columns);
    float* packed = scratch<float, 1>(columns_ * x.rows);
    // Passes lie one after another; a pass holds token tiles of (columns, tokens).
    const auto packed_at = [&](int64_t k, int64_t length, int64_t t) {
      return packed + k * x.rows + t * length;
    };
    parallel_for(tiles, [&](int64_t tile) {
      const int64_t t = tile_start(tile);
      for (int64_t k = 0; k < columns_; k += pass_columns) {
        const int64_t length = std::min(pass_columns, columns_ - k);
        pack_tokens(kernels, x, t, tile_start(tile + 1) - t, k, k + length, packed_at(k, length, t));
      }
    });
    // Runs a pass of all token tiles over `count` panels from p on.
    const auto run = [&](int64_t p, int64_t count, int64_t pass) {
      const int64_t k = pass * pass_columns;
      const int64_t length = std::min(pass_columns, columns_ - k);
      PanelJob job{panel(p) + bytes_of(k),
                   panel_bytes(),
                   count,
                   length,
                   nullptr,
                   0,
                   nullptr,
                   y.stride,
                   outputs(p, count),
                   pass > 0,
                   pass + 1 == passes ? scales(p) : nullptr,
                   levels()};
      if (wide) {
        job.w = widened(panel(p), count, k, length);
        job.panel_bytes = wide_bytes(length);
      }
      for (int64_t tile = 0; tile < tiles; ++tile) {
        const int64_t t = tile_start(tile);
        job.x = packed_at(k, length, t);
        job.tokens = tile_start(tile + 1) - t;
        job.y = y.row(t) + p * kPanelRows;
        kernels.run(job);
      }
    };
    const bool few = columns_ * x.rows <= kFewValues;
    parallel_for(ceil_div(panels_, kGemmPiecePanels), [&](int64_t i) {
      const int64_t first = i * kGemmPiecePanels;
      const int64_t last = std::min(panels_, first + kGemmPiecePanels);
      // Few tokens stay in L2 as they are: the weights, read once, then come in one stream.
      for (int64_t outer = 0; outer < (few ? 1 : passes); ++outer)
        for (int64_t p = first; p < last; p += kernels.gemm_panels)
          for (int64_t inner = 0; inner < (few ? passes : 1); ++inner)
            run(p, std::min(kernels.gemm_panels, last - p), outer + inner);
    });
  }

  void apply_amx(MatrixView<const float> x, MatrixView<float> y) const {
    const int64_t token_tiles = ceil_div(x.rows, 16);
    const int64_t k_tiles = columns_ / kTileColumns;
    unsigned char* packed = scratch<unsigned char, 2>(token_tiles * k_tiles * kTileBytes);
    parallel_for(ceil_div(token_tiles, 4), [&](int64_t i) {
      amx_->pack_tokens(x.data, x.stride, x.rows, x.cols, k_tiles, i * 4, std::min(token_tiles, i * 4 + 4),
                        packed);
    });
    const int64_t piece = x.rows <= amx_->stream_tokens ? stream_piece() : kGemmPiecePanels;
    parallel_for(ceil_div(panels_, piece), [&](int64_t i) {
      const int64_t first = i * piece;
      const int64_t count = std::min(piece, panels_ - first);
      const AmxJob job{panel(first),
                       panel_bytes(),
                       count,
                       k_tiles,
                       packed,
                       x.rows,
                       y.data + first * kPanelRows,
                       y.stride,
                       outputs(first, count),
                       scaled_ ? scales(first) : nullptr,
                       kernels_.widen,
                       levels(),
                       scratch<unsigned char, 3>(amx_->scratch_bytes(x.rows, count, k_tiles))};
      amx_->run(job);
    });
  }

  const unsigned char* levels() const { return has_codes(kernels_.format) ? levels_.data() : nullptr; }

  const PanelKernels& kernels_;
  const AmxKernels* amx_;
  PanelBlock block_;
  int64_t panels_;
  int64_t columns_;  // columns of a panel, padding included
  AlignedBuffer<unsigned char> packed_;
  AlignedBuffer<float> scales_;  // scale of every row of every panel; int8 and low-bit formats only
  bool scaled_ = false;          // a scale is not 1
  std::array<unsigned char, 64> levels_ = {};  // PanelJob::levels
};

}  // namespace

std::unique_ptr<HostLinear> pack_panel_linear(std::span<const Weight> stack, std::string_view name,
                                              const PanelKernels& kernels, const AmxKernels* amx) {
  return std::make_unique<PanelLinear>(stack, name, kernels, amx);
}

}  // namespace pare
