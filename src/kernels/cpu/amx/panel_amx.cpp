// Tile products with AMX over packed panels. Other formats become dense bf16 a column block at a time,
// ahead of the products and among those of the block before.
#include "kernels/cpu/amx/expand.h"
#include "kernels/cpu/amx/tiles.h"

namespace pare {
namespace {

constexpr int64_t kTokenAhead = 2;  // tiles by which the tokens are fetched into L1 before their use
constexpr int64_t kLinesOfTile = 16;
constexpr int64_t kExpandedBytes = 2 * kBlockTiles * kTileBytes;  // a column block of two panels

void pack_tokens(const float* x, int64_t x_stride, int64_t tokens, int64_t in, int64_t k_tiles, int64_t first,
                 int64_t last, unsigned char* packed) {
  const int64_t token_tiles = (tokens + 15) / 16;
  for (int64_t m = first; m < last; ++m)
    for (int64_t k = 0; k < k_tiles; ++k) {
      unsigned char* tile = packed + token_tile_offset(token_tiles, k_tiles, k, m);
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

// Bytes of the sums of all token tiles and panels. Room for two column blocks of two panels follows them.
int64_t sums_bytes(int64_t tokens, int64_t panels) {
  return (tokens + 31) / 32 * 2 * ((panels + 1) / 2 * 2) * kTileBytes;
}
int64_t scratch_bytes(int64_t tokens, int64_t panels) {
  return tokens <= kStreamTokens ? amx_stream_scratch() : sums_bytes(tokens, panels) + 2 * kExpandedBytes;
}

// The column blocks of pairs of panels in the order in which they are worked on.
struct Item {
  int64_t k;  // first tile
  int64_t n;
  int64_t p;  // first panel
  int64_t panels;
};
Item item_at(const AmxJob& job, int64_t k, int64_t p) {
  return {k, job.k_tiles - k < kBlockTiles ? job.k_tiles - k : kBlockTiles, p, job.panels - p < 2 ? 1 : 2};
}
Item item_after(const AmxJob& job, const Item& item) {
  return item.p + 2 < job.panels ? item_at(job, item.k, item.p + 2) : item_at(job, item.k + item.n, 0);
}

// Expands an item tile by tile.
class Expansion {
 public:
  Expansion(const AmxJob& job, const Item& item, unsigned char* out)
      : format_(job.format),
        bytes_(packed_tile_bytes(job.format)),
        w_(job.w + item.p * job.panel_bytes + item.k * bytes_),
        panel_bytes_(job.panel_bytes),
        n_(item.n),
        tiles_(item.k < job.k_tiles ? item.n * item.panels : 0),
        out_(out) {}
  // Brings the work to `part` of `whole`.
  void advance(int64_t part, int64_t whole) {
    for (; done_ * whole < tiles_ * part; ++done_, ++column_) {
      if (column_ == n_) {
        column_ = 0;
        w_ += panel_bytes_;
      }
      expand(format_, spread_, w_ + column_ * bytes_, out_ + done_ * kTileBytes);
    }
  }

 private:
  Spread spread_;
  PanelFormat format_;
  int64_t bytes_;  // bytes of a packed tile
  const unsigned char* w_;
  int64_t panel_bytes_;
  int64_t n_;
  int64_t tiles_;
  unsigned char* out_;
  int64_t done_ = 0;
  int64_t column_ = 0;
};

// Two token tiles × two panels over n column tiles.
struct Block {
  const unsigned char* x;
  int64_t x_next;  // bytes to the second token tile
  const unsigned char* w;
  int64_t w_next;  // bytes to the second panel
  int64_t n;
  bool first;                    // starts from zero instead of c
  float* c;                      // 2 × 2 tiles
  const unsigned char* ahead;    // weights of the next pair of panels, to fetch into L2
  int64_t ahead_next;            // bytes to the second panel of the pair
  int64_t ahead_lines;           // cache lines of each panel to fetch with a column tile
  const unsigned char* x_ahead;  // tokens of the next column block, to fetch into L2
  int64_t x_ahead_lines;         // cache lines of these tokens to fetch with a column tile
  int64_t steps_before;          // column tiles of the item worked on before this block
  int64_t steps;                 // column tiles of the item
};

template <bool kTwoTokens>
inline void prefetch(const Block& b, int64_t k) {
  const unsigned char* x = b.x + (k + kTokenAhead) * kTileBytes;
#pragma GCC unroll 16
  for (int64_t i = 0; i < kLinesOfTile; ++i) {
    _mm_prefetch(reinterpret_cast<const char*>(x + i * 64), _MM_HINT_T0);
    if (kTwoTokens) _mm_prefetch(reinterpret_cast<const char*>(x + b.x_next + i * 64), _MM_HINT_T0);
  }
  const unsigned char* w = b.ahead + k * b.ahead_lines * 64;
  for (int64_t i = 0; i < b.ahead_lines; ++i) {
    _mm_prefetch(reinterpret_cast<const char*>(w + i * 64), _MM_HINT_T1);
    _mm_prefetch(reinterpret_cast<const char*>(w + b.ahead_next + i * 64), _MM_HINT_T1);
  }
  const unsigned char* next = b.x_ahead + k * b.x_ahead_lines * 64;
  for (int64_t i = 0; i < b.x_ahead_lines; ++i)
    _mm_prefetch(reinterpret_cast<const char*>(next + i * 64), _MM_HINT_T1);
}

// Tiles 0..3 accumulate; loads come before the products that use them.
template <bool kTwoTokens, bool kTwoPanels>
inline void multiply(const Block& b, Expansion* expansion) {
  float* c = b.c;
  if (b.first) {
    _tile_zero(0);
    if (kTwoPanels) _tile_zero(1);
    if (kTwoTokens) _tile_zero(2);
    if (kTwoTokens && kTwoPanels) _tile_zero(3);
  } else {
    _tile_loadd(0, c, 64);
    if (kTwoPanels) _tile_loadd(1, c + kTileFloats, 64);
    if (kTwoTokens) _tile_loadd(2, c + 2 * kTileFloats, 64);
    if (kTwoTokens && kTwoPanels) _tile_loadd(3, c + 3 * kTileFloats, 64);
  }
  for (int64_t k = 0; k < b.n; ++k) {
    prefetch<kTwoTokens>(b, k);
    const unsigned char* x = b.x + k * kTileBytes;
    const unsigned char* w = b.w + k * kTileBytes;
    _tile_loadd(4, x, 64);
    _tile_loadd(6, w, 64);
    if (kTwoPanels) _tile_loadd(7, w + b.w_next, 64);
    if (kTwoTokens) _tile_loadd(5, x + b.x_next, 64);
    _tile_dpbf16ps(0, 4, 6);
    if (kTwoPanels) _tile_dpbf16ps(1, 4, 7);
    if (kTwoTokens) _tile_dpbf16ps(2, 5, 6);
    if (kTwoTokens && kTwoPanels) _tile_dpbf16ps(3, 5, 7);
    if (expansion != nullptr) expansion->advance(b.steps_before + k + 1, b.steps);
  }
  _tile_stored(0, c, 64);
  if (kTwoPanels) _tile_stored(1, c + kTileFloats, 64);
  if (kTwoTokens) _tile_stored(2, c + 2 * kTileFloats, 64);
  if (kTwoTokens && kTwoPanels) _tile_stored(3, c + 3 * kTileFloats, 64);
}

void run_blocks(const AmxJob& job) {
  const int64_t token_tiles = (job.tokens + 15) / 16;
  const int64_t token_pairs = (token_tiles + 1) / 2;
  const int64_t tile = packed_tile_bytes(job.format);
  const bool in_place = job.format == PanelFormat::kBF16;
  float* sums = reinterpret_cast<float*>(job.scratch);
  unsigned char* expanded = job.scratch + sums_bytes(job.tokens, job.panels);
  unsigned char* expanded_next = expanded + kExpandedBytes;
  Item item = item_at(job, 0, 0);
  if (!in_place) Expansion(job, item, expanded).advance(1, 1);
  while (item.k < job.k_tiles) {
    const auto [k, n, p, panels] = item;
    const Item next = item_after(job, item);
    Expansion expansion(job, next, expanded_next);
    // Weights are fetched into L2: of the next item, or of the one after it where the next is being expanded.
    const Item ahead = in_place ? next : item_after(job, next);
    const int64_t steps = token_pairs * n;
    const int64_t ahead_lines = (ahead.n * tile / 64 + steps - 1) / steps;
    // The tokens of all panels together exceed L2: those of the next column block (or, at the end, of the
    // first, for the next panels) are fetched while this one is worked on.
    const unsigned char* x_next = job.x + (k + n < job.k_tiles ? (k + n) * token_tiles * kTileBytes : 0);
    const int64_t all_steps = (job.panels + 1) / 2 * steps;
    const int64_t x_lines = (n * token_tiles * kLinesOfTile + all_steps - 1) / all_steps;
    const unsigned char* w = in_place ? job.w + p * job.panel_bytes + k * tile : expanded;
    for (int64_t m = 0; m < token_tiles; m += 2) {
      const bool two_tokens = m + 1 < token_tiles;
      const Block block = {job.x + token_tile_offset(token_tiles, job.k_tiles, k, m),
                           n * kTileBytes,
                           w,
                           in_place ? job.panel_bytes : n * kTileBytes,
                           n,
                           k == 0,
                           sums + (p / 2 * token_pairs + m / 2) * 4 * kTileFloats,
                           job.w + ahead.p * job.panel_bytes + ahead.k * tile + m / 2 * n * ahead_lines * 64,
                           job.panel_bytes,
                           ahead_lines,
                           x_next + (p / 2 * token_pairs + m / 2) * n * x_lines * 64,
                           x_lines,
                           m / 2 * n,
                           steps};
      Expansion* work = in_place ? nullptr : &expansion;
      if (two_tokens && panels == 2)
        multiply<true, true>(block, work);
      else if (two_tokens)
        multiply<true, false>(block, work);
      else if (panels == 2)
        multiply<false, true>(block, work);
      else
        multiply<false, false>(block, work);
    }
    unsigned char* done = expanded;
    expanded = expanded_next;
    expanded_next = done;
    item = next;
  }
  for (int64_t m = 0; m < token_tiles; ++m)
    for (int64_t p = 0; p < job.panels; ++p)
      copy_out(job, m, p,
               sums + (p / 2 * token_pairs + m / 2) * 4 * kTileFloats + (m % 2 * 2 + p % 2) * kTileFloats);
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
