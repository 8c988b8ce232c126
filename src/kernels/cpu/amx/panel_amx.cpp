// Tile products with AMX over packed panels. Other formats become dense bf16 a column block at a time, ahead
// of the products and among those of the block before.
#include "kernels/cpu/amx/tiles.h"

namespace pare {
namespace {

constexpr int64_t kWideBytes = 2 * kBlockTiles * kTileBytes;  // a column block of two panels

void pack_tokens(const float* x, int64_t x_stride, int64_t tokens, int64_t in, int64_t k_tiles, int64_t first,
                 int64_t last, unsigned char* packed) {
  const ColumnBlocks blocks = column_blocks(tokens, k_tiles);
  for (int64_t m = first; m < last; ++m)
    for (int64_t b = 0; b < blocks.count; ++b) {
      unsigned char* tile = packed + blocks.place(b, m);
      for (int64_t k = blocks.begin(b); k < blocks.begin(b + 1); ++k, tile += kTileBytes) {
        const int64_t left = in - k * 32;
        const __mmask32 mask = left >= 32 ? 0xffffffffu : left > 0 ? (1u << left) - 1u : 0u;
        for (int64_t r = 0; r < 16; ++r) {
          __m512i row = _mm512_setzero_si512();
          if (m * 16 + r < tokens) {
            const float* source = x + (m * 16 + r) * x_stride + k * 32;
            const __m512 low = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask & 0xffffu), source);
            const __m512 high = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> 16), source + 16);
            row = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
          }
          _mm512_store_si512(tile + r * 64, row);
        }
      }
    }
}

// Bytes of the sums of all token tiles and panels, which column blocks hand on; one block needs those of one
// product. Room for two widened blocks follows them.
int64_t sums_bytes(const ColumnBlocks& blocks, int64_t panels) {
  const int64_t products = blocks.count == 1 ? 1 : (blocks.token_tiles + 1) / 2 * ((panels + 1) / 2);
  return products * 4 * kTileBytes;
}
int64_t scratch_bytes(int64_t tokens, int64_t panels, int64_t k_tiles) {
  return tokens <= kStreamTokens ? amx_stream_scratch()
                                 : sums_bytes(column_blocks(tokens, k_tiles), panels) + 2 * kWideBytes;
}

// A column block of a pair of panels: what is worked on at a time.
struct Item {
  int64_t block;
  int64_t p;  // first panel
};
Item item_after(const AmxJob& job, const Item& item) {
  return item.p + 2 < job.panels ? Item{item.block, item.p + 2} : Item{item.block + 1, 0};
}

// Widens an item tile by tile.
class Widening {
 public:
  Widening(const AmxJob& job, const ColumnBlocks& blocks, const Item& item, unsigned char* out)
      : job_(job), p_(item.p), out_(out) {
    if (item.block == blocks.count) return;
    k_ = blocks.begin(item.block);
    n_ = blocks.length(item.block);
    tiles_ = n_ * (job.panels - item.p < 2 ? 1 : 2);
  }
  // Brings the work to `part` of `whole`.
  void advance(int64_t part, int64_t whole) {
    for (; done_ * whole < tiles_ * part; ++done_) {
      const int64_t second = done_ < n_ ? 0 : 1;
      widen_tile(job_, p_ + second, k_ + done_ - second * n_, out_ + done_ * kTileBytes);
    }
  }

 private:
  const AmxJob& job_;
  int64_t p_;
  unsigned char* out_;
  int64_t k_ = 0;
  int64_t n_ = 0;
  int64_t tiles_ = 0;
  int64_t done_ = 0;
};

// Cache lines to fetch ahead, some with every step.
struct Ahead {
  const unsigned char* from = nullptr;
  int64_t lines = 0;  // lines of a step
  Ahead() = default;
  Ahead(const unsigned char* first, int64_t bytes, int64_t steps)
      : from(first), lines((bytes / 64 + steps - 1) / steps) {}
  void fetch(int64_t step) const {
    const unsigned char* line = from + step * lines * 64;
    for (int64_t i = 0; i < lines; ++i)
      _mm_prefetch(reinterpret_cast<const char*>(line + i * 64), _MM_HINT_T1);
  }
};

// Where 2 × 2 tiles of sums are: the rows of a tile, those of the second panel, those of the second tokens.
struct Sums {
  float* first;
  int64_t stride;  // floats from a row to the next
  int64_t panel;   // floats to the second panel
  int64_t tokens;  // floats to the second tokens
};

// Two token tiles × two panels over n column tiles.
struct Block {
  const unsigned char* x;
  const unsigned char* w;
  int64_t w_next;  // bytes to the second panel
  int64_t n;
  const float* held;  // sums of the blocks before, tiles one after another; null: they begin here
  Sums out;
  int64_t step;  // column tiles of the item worked on before, for what goes on among the products
  Ahead panels[2];
  Ahead tokens;
};

// Tiles 0..3 accumulate; loads come before the products that use them.
template <bool kTwoTokens, bool kTwoPanels>
inline void multiply(const Block& b, Widening* widening, int64_t steps) {
  if (b.held == nullptr) {
    _tile_zero(0);
    if (kTwoPanels) _tile_zero(1);
    if (kTwoTokens) _tile_zero(2);
    if (kTwoTokens && kTwoPanels) _tile_zero(3);
  } else {
    _tile_loadd(0, b.held, 64);
    if (kTwoPanels) _tile_loadd(1, b.held + kTileFloats, 64);
    if (kTwoTokens) _tile_loadd(2, b.held + 2 * kTileFloats, 64);
    if (kTwoTokens && kTwoPanels) _tile_loadd(3, b.held + 3 * kTileFloats, 64);
  }
  for (int64_t k = 0; k < b.n; ++k) {
    b.panels[0].fetch(b.step + k);
    b.panels[1].fetch(b.step + k);
    b.tokens.fetch(b.step + k);
    const unsigned char* x = b.x + k * kTileBytes;
    const unsigned char* w = b.w + k * kTileBytes;
    _tile_loadd(4, x, 64);
    _tile_loadd(6, w, 64);
    if (kTwoPanels) _tile_loadd(7, w + b.w_next, 64);
    if (kTwoTokens) _tile_loadd(5, x + b.n * kTileBytes, 64);
    _tile_dpbf16ps(0, 4, 6);
    if (kTwoPanels) _tile_dpbf16ps(1, 4, 7);
    if (kTwoTokens) _tile_dpbf16ps(2, 5, 6);
    if (kTwoTokens && kTwoPanels) _tile_dpbf16ps(3, 5, 7);
    if (widening != nullptr) widening->advance(b.step + k + 1, steps);
  }
  const int64_t stride = b.out.stride * static_cast<int64_t>(sizeof(float));
  float* below = b.out.first + b.out.tokens;
  _tile_stored(0, b.out.first, stride);
  if (kTwoPanels) _tile_stored(1, b.out.first + b.out.panel, stride);
  if (kTwoTokens) _tile_stored(2, below, stride);
  if (kTwoTokens && kTwoPanels) _tile_stored(3, below + b.out.panel, stride);
}

void run_blocks(const AmxJob& job) {
  const ColumnBlocks blocks = column_blocks(job.tokens, job.k_tiles);
  const int64_t token_pairs = (blocks.token_tiles + 1) / 2;
  const bool in_place = job.widen == nullptr;
  float* sums = reinterpret_cast<float*>(job.scratch);
  unsigned char* wide = job.scratch + sums_bytes(blocks, job.panels);
  unsigned char* wide_next = wide + kWideBytes;
  const int64_t bytes = job.panel_bytes / job.k_tiles;  // bytes of the columns of a tile, about
  Item item = {0, 0};
  if (!in_place) Widening(job, blocks, item, wide).advance(1, 1);
  while (item.block < blocks.count) {
    const int64_t k = blocks.begin(item.block);
    const int64_t n = blocks.length(item.block);
    const int64_t panels = job.panels - item.p < 2 ? 1 : 2;
    const bool last = item.block + 1 == blocks.count;
    const int64_t steps = token_pairs * n;
    const Item next = item_after(job, item);
    Widening widening(job, blocks, next, wide_next);
    Block block = {};
    block.w = in_place ? job.w + item.p * job.panel_bytes + k * kTileBytes : wide;
    block.w_next = in_place ? job.panel_bytes : n * kTileBytes;
    block.n = n;
    // Weights are fetched into L2: of the next item, or of the one after it where the next is being widened.
    const Item ahead = in_place || next.block == blocks.count ? next : item_after(job, next);
    if (ahead.block < blocks.count)
      for (int64_t p = ahead.p; p < job.panels && p < ahead.p + 2; ++p)
        block.panels[p - ahead.p] = {job.w + p * job.panel_bytes + blocks.begin(ahead.block) * bytes,
                                     blocks.length(ahead.block) * bytes, steps};
    // The tokens of all blocks together may exceed L2: those of the next block (or, at the end, of the first,
    // for the next panels) are fetched while this one is worked on, as many with every pair of panels.
    const int64_t next_block = last ? 0 : item.block + 1;
    const int64_t token_bytes = blocks.length(next_block) * blocks.token_tiles * kTileBytes;
    const int64_t pairs = (job.panels + 1) / 2;
    const int64_t share = (token_bytes / kTileBytes + pairs - 1) / pairs * kTileBytes;
    if (blocks.count > 1)
      block.tokens = {job.x + blocks.place(next_block, 0) + item.p / 2 * share, share, steps};
    for (int64_t m = 0; m < blocks.token_tiles; m += 2) {
      const bool two_tokens = m + 1 < blocks.token_tiles;
      float* held = sums + (blocks.count == 1 ? 0 : item.p / 2 * token_pairs + m / 2) * 4 * kTileFloats;
      const bool whole = (m + (two_tokens ? 2 : 1)) * kTileRows <= job.tokens &&
                         (item.p + panels) * kPanelRows <= job.columns;
      const bool in_y = last && whole && job.scales == nullptr;
      block.x = job.x + blocks.place(item.block, m);
      block.held = item.block == 0 ? nullptr : held;
      block.out = in_y ? Sums{job.y + m * kTileRows * job.y_stride + item.p * kPanelRows, job.y_stride,
                              kPanelRows, kTileRows * job.y_stride}
                       : Sums{held, kPanelRows, kTileFloats, 2 * kTileFloats};
      block.step = m / 2 * n;
      Widening* work = in_place ? nullptr : &widening;
      if (two_tokens && panels == 2)
        multiply<true, true>(block, work, steps);
      else if (two_tokens)
        multiply<true, false>(block, work, steps);
      else if (panels == 2)
        multiply<false, true>(block, work, steps);
      else
        multiply<false, false>(block, work, steps);
      if (!last || in_y) continue;
      for (int64_t t = 0; t < (two_tokens ? 2 : 1); ++t)
        for (int64_t p = 0; p < panels; ++p)
          copy_out(job, m + t, item.p + p, held + (2 * t + p) * kTileFloats);
    }
    unsigned char* done = wide;
    wide = wide_next;
    wide_next = done;
    item = next;
  }
}

void run(const AmxJob& job) {
  if (job.tokens <= kStreamTokens) return amx_run_stream(job);
  configure_tiles(kTileRows, 0);
  run_blocks(job);
  _tile_release();
}

}  // namespace

const AmxKernels kPanelAmx = {kStreamTokens, pack_tokens, scratch_bytes, run};

}  // namespace pare
