// Tile products with AMX over packed panels of bf16 and of int8, which become bf16 a block at a time.
#include <immintrin.h>

#include "kernels/panel.h"

namespace pare {
namespace {

constexpr int64_t kTileFloats = 256;
constexpr int64_t kBlockTiles = 8;  // tiles of a column block: two panels of it stay in L1
constexpr int64_t kTokenAhead = 2;  // tiles by which the tokens are fetched into L1 before their use
constexpr int64_t kLinesOfTile = 16;

// Bytes of 32 packed columns of a panel.
inline int64_t tile_bytes(PanelFormat format) {
  const PanelBlock block = panel_block(format);
  return 32 * block.bytes / block.columns;
}

struct alignas(64) TileConfig {
  uint8_t palette;
  uint8_t start_row;
  uint8_t reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
};

// Token tile m of column block [k0, k0 + n): the tiles of a block are contiguous.
inline int64_t token_tile_offset(int64_t token_tiles, int64_t k_tiles, int64_t k, int64_t m) {
  const int64_t block = k / kBlockTiles * kBlockTiles;
  const int64_t length = k_tiles - block < kBlockTiles ? k_tiles - block : kBlockTiles;
  return (block * token_tiles + m * length + (k - block)) * kTileBytes;
}

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

// Sums of all token tiles and panels, then room for one column block of two panels.
int64_t sums_bytes(int64_t tokens, int64_t panels) {
  return (tokens + 31) / 32 * 2 * ((panels + 1) / 2 * 2) * kTileBytes;
}
int64_t scratch_bytes(int64_t tokens, int64_t panels) {
  return sums_bytes(tokens, panels) + 2 * kBlockTiles * kTileBytes;
}

// What brings the two kept values of a group, in the lanes of a step, to two steps of two columns: selectors
// of bytes by place code, before the lane's own offset is added. The second step's follow the first's.
struct Selectors {
  alignas(64) uint32_t of[2][16];
};
constexpr Selectors make_selectors() {
  Selectors s{};
  for (uint32_t code = 0; code < 16; ++code)
    for (uint32_t column = 0; column < 4; ++column) {
      // Bytes 0, 1: the lower kept value; 2, 3: the higher one; 0x80: zero.
      const uint32_t bytes = column == (code & 3) ? 0x0100u : column == code >> 2 ? 0x0302u : 0x8080u;
      s.of[column / 2][code] |= bytes << (16 * (column % 2));
    }
  return s;
}
constexpr Selectors kSelectors = make_selectors();

class Spread {
 public:
  // Two steps, 128 bytes, from the pairs of a group and their places in the lowest four bits of the lanes.
  void operator()(__m512i pairs, __m512i places, unsigned char* out) const {
    const __m512i first = _mm512_or_si512(_mm512_permutexvar_epi32(places, first_), lane_);
    const __m512i second = _mm512_or_si512(_mm512_permutexvar_epi32(places, second_), lane_);
    _mm512_store_si512(out, _mm512_shuffle_epi8(pairs, first));
    _mm512_store_si512(out + kStepBytes, _mm512_shuffle_epi8(pairs, second));
  }

 private:
  __m512i first_ = _mm512_load_si512(kSelectors.of[0]);
  __m512i second_ = _mm512_load_si512(kSelectors.of[1]);
  __m512i lane_ = _mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0);
};

// Four int8 values a lane become two pairs of bf16: whole numbers up to 127 are exact in bf16, the upper half
// of an f32.
inline void to_bf16_pairs(__m512i raw, __m512i* first, __m512i* second) {
  const auto bits = [](__m512i integers) { return _mm512_castps_si512(_mm512_cvtepi32_ps(integers)); };
  const auto pair = [](__m512i low, __m512i high) {
    return _mm512_mask_mov_epi16(high, 0x55555555u, _mm512_srli_epi32(low, 16));
  };
  const __m512i c0 = bits(_mm512_srai_epi32(_mm512_slli_epi32(raw, 24), 24));
  const __m512i c1 = bits(_mm512_srai_epi32(_mm512_slli_epi32(raw, 16), 24));
  const __m512i c2 = bits(_mm512_srai_epi32(_mm512_slli_epi32(raw, 8), 24));
  const __m512i c3 = bits(_mm512_srai_epi32(raw, 24));
  *first = pair(c0, c1);
  *second = pair(c2, c3);
}

// `tiles` tiles of 32 columns of a packed panel as dense bf16.
void expand(PanelFormat format, const unsigned char* w, int64_t tiles, unsigned char* out) {
  const Spread spread;
  for (int64_t i = 0; i < tiles; ++i) {
    if (format == PanelFormat::kInt8) {  // half a tile of 64 columns
      for (int64_t s = 0; s < 8; ++s, w += kStepBytes, out += 2 * kStepBytes) {
        __m512i first;
        __m512i second;
        to_bf16_pairs(_mm512_load_si512(w), &first, &second);
        _mm512_store_si512(out, first);
        _mm512_store_si512(out + kStepBytes, second);
      }
      continue;
    }
    __m512i places = _mm512_load_si512(w);
    w += kStepBytes;
    if (format == PanelFormat::kBF16Of4) {
      for (int64_t s = 0; s < 8; ++s, w += kStepBytes, out += 2 * kStepBytes) {
        spread(_mm512_load_si512(w), places, out);
        places = _mm512_srli_epi32(places, 4);
      }
    } else {
      for (int64_t s = 0; s < 4; ++s, w += kStepBytes, out += 4 * kStepBytes) {
        __m512i first;
        __m512i second;
        to_bf16_pairs(_mm512_load_si512(w), &first, &second);
        spread(first, places, out);
        spread(second, _mm512_srli_epi32(places, 4), out + 2 * kStepBytes);
        places = _mm512_srli_epi32(places, 8);
      }
    }
  }
}

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
  int64_t ahead_next;            // bytes to the second of them
  int64_t ahead_lines;           // cache lines of each to fetch with a column tile
  const unsigned char* x_ahead;  // tokens of the next column block, to fetch into L2
  int64_t x_ahead_lines;         // cache lines of them to fetch with a column tile
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
inline void multiply(const Block& b) {
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
  }
  _tile_stored(0, c, 64);
  if (kTwoPanels) _tile_stored(1, c + kTileFloats, 64);
  if (kTwoTokens) _tile_stored(2, c + 2 * kTileFloats, 64);
  if (kTwoTokens && kTwoPanels) _tile_stored(3, c + 3 * kTileFloats, 64);
}

void copy_out(const AmxJob& job, int64_t m, int64_t p, const float* tile) {
  const int64_t rows = job.tokens - m * 16 < 16 ? job.tokens - m * 16 : 16;
  const int64_t columns = job.columns - p * 16;
  if (columns <= 0) return;
  const __mmask16 mask = static_cast<__mmask16>(columns >= 16 ? 0xffffu : (1u << columns) - 1u);
  const __m512 scale =
      job.scales == nullptr ? _mm512_set1_ps(1.0f) : _mm512_loadu_ps(job.scales + p * kPanelRows);
  for (int64_t r = 0; r < rows; ++r)
    _mm512_mask_storeu_ps(job.y + (m * 16 + r) * job.y_stride + p * 16, mask,
                          _mm512_mul_ps(_mm512_load_ps(tile + r * 16), scale));
}

void configure(int64_t tokens) {
  TileConfig config = {};
  config.palette = 1;
  for (int i = 0; i < 8; ++i) {
    config.row_bytes[i] = 64;
    config.rows[i] = 16;
  }
  // A product takes as many cycles as it has token rows.
  if (tokens < 16) config.rows[0] = config.rows[1] = config.rows[4] = static_cast<uint8_t>(tokens);
  // Without the barrier GCC 12 may drop the stores to `config`.
  __asm__ volatile("" ::"r"(&config) : "memory");
  _tile_loadconfig(&config);
}

// The weights of column block [k, k + n) of two panels, as bf16 tiles.
struct Weights {
  const unsigned char* first;
  int64_t to_second;  // bytes
};

Weights weights_of(const AmxJob& job, int64_t p, int64_t k, int64_t n, bool two_panels,
                   unsigned char* expanded) {
  const int64_t tile = tile_bytes(job.format);
  const unsigned char* w = job.w + p * job.panel_bytes + k * tile;
  if (job.format == PanelFormat::kBF16) return {w, job.panel_bytes};
  expand(job.format, w, n, expanded);
  if (two_panels) expand(job.format, w + job.panel_bytes, n, expanded + n * kTileBytes);
  return {expanded, n * kTileBytes};
}

void run(const AmxJob& job) {
  configure(job.tokens);
  const int64_t token_tiles = (job.tokens + 15) / 16;
  const int64_t token_pairs = (token_tiles + 1) / 2;
  const int64_t tile = tile_bytes(job.format);
  float* sums = reinterpret_cast<float*>(job.scratch);
  unsigned char* expanded = job.scratch + sums_bytes(job.tokens, job.panels);
  for (int64_t k = 0; k < job.k_tiles; k += kBlockTiles) {
    const int64_t n = job.k_tiles - k < kBlockTiles ? job.k_tiles - k : kBlockTiles;
    const int64_t n_bytes = n * tile;
    // The tokens of all panels together exceed L2: those of the next column block (or, at the end, of the
    // first, for the next panels) are fetched while this one is worked on.
    const unsigned char* x_next = job.x + (k + n < job.k_tiles ? (k + n) * token_tiles * kTileBytes : 0);
    const int64_t steps = (job.panels + 1) / 2 * token_pairs * n;
    const int64_t x_lines = (n * token_tiles * kLinesOfTile + steps - 1) / steps;
    for (int64_t p = 0; p < job.panels; p += 2) {
      const bool two_panels = p + 1 < job.panels;
      const Weights w = weights_of(job, p, k, n, two_panels, expanded);
      // The next pair of this column block, or the first pair of the next block.
      const unsigned char* here = job.w + p * job.panel_bytes + k * tile;
      const unsigned char* ahead =
          p + 2 < job.panels ? here + 2 * job.panel_bytes : job.w + k * tile + n_bytes;
      const int64_t ahead_lines = (n_bytes / 64 + token_pairs * n - 1) / (token_pairs * n);
      for (int64_t m = 0; m < token_tiles; m += 2) {
        const bool two_tokens = m + 1 < token_tiles;
        const Block block = {job.x + token_tile_offset(token_tiles, job.k_tiles, k, m),
                             n * kTileBytes,
                             w.first,
                             w.to_second,
                             n,
                             k == 0,
                             sums + (p / 2 * token_pairs + m / 2) * 4 * kTileFloats,
                             ahead + m / 2 * n * ahead_lines * 64,
                             job.panel_bytes,
                             ahead_lines,
                             x_next + (p / 2 * token_pairs + m / 2) * n * x_lines * 64,
                             x_lines};
        if (two_tokens && two_panels)
          multiply<true, true>(block);
        else if (two_tokens)
          multiply<true, false>(block);
        else if (two_panels)
          multiply<false, true>(block);
        else
          multiply<false, false>(block);
      }
    }
  }
  _tile_release();
  for (int64_t m = 0; m < token_tiles; ++m)
    for (int64_t p = 0; p < job.panels; ++p)
      copy_out(job, m, p,
               sums + (p / 2 * token_pairs + m / 2) * 4 * kTileFloats + (m % 2 * 2 + p % 2) * kTileFloats);
}

}  // namespace

const AmxKernels kAmx = {pack_tokens, scratch_bytes, run};

}  // namespace pare
