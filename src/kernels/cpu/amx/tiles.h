// Shared parts of the tile products, for the files of this folder.
#pragma once

#include <immintrin.h>

#include "kernels/cpu/panel.h"

namespace pare {

inline constexpr int64_t kTileFloats = 256;
inline constexpr int64_t kTileColumns = 32;
inline constexpr int64_t kTileRows = 16;
inline constexpr int64_t kBlockTiles = 9;  // most tiles of a column block: two panels of it stay in L1

// Up to two tiles of tokens are bound by reading the weights, so whole panels are streamed (stream_amx.cpp).
inline constexpr int64_t kStreamTokens = 2 * kTileRows;

struct alignas(64) TileConfig {
  uint8_t palette;
  uint8_t start_row;
  uint8_t reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
};

// All eight tiles whole; those named by `narrow` (a bit a tile) have `rows` rows of tokens, since a product
// takes as many cycles as it has rows.
static inline void configure_tiles(int64_t rows, unsigned narrow) {
  TileConfig config = {};
  config.palette = 1;
  for (unsigned i = 0; i < 8; ++i) {
    config.row_bytes[i] = 64;
    config.rows[i] = (narrow >> i & 1u) != 0 ? static_cast<uint8_t>(rows) : static_cast<uint8_t>(kTileRows);
  }
  // Without the barrier GCC 12 may drop the stores to `config`.
  __asm__ volatile("" ::"r"(&config) : "memory");
  _tile_loadconfig(&config);
}

// Blocks of columns, as equal as whole tiles allow. The token tiles of a block are contiguous, those of 16
// tokens one after another.
struct ColumnBlocks {
  int64_t k_tiles;
  int64_t token_tiles;
  int64_t count;
  int64_t begin(int64_t block) const { return block * k_tiles / count; }
  int64_t length(int64_t block) const { return begin(block + 1) - begin(block); }
  // Returns the place, in bytes, of the first tile of a block of token tile m.
  int64_t place(int64_t block, int64_t m) const {
    return (begin(block) * token_tiles + m * length(block)) * kTileBytes;
  }
};

static inline ColumnBlocks column_blocks(int64_t tokens, int64_t k_tiles) {
  const bool stream = tokens <= kStreamTokens;
  return {k_tiles, (tokens + kTileRows - 1) / kTileRows,
          stream ? 1 : (k_tiles + kBlockTiles - 1) / kBlockTiles};
}

// Writes tile k of panel p as bf16.
static inline void widen_tile(const AmxJob& job, int64_t p, int64_t k, unsigned char* out) {
  job.widen(job.w + p * job.panel_bytes, k, job.levels, out);
}

// Copies the sums of token tile m and panel p to y.
static inline void copy_out(const AmxJob& job, int64_t m, int64_t p, const float* tile) {
  const int64_t left = job.tokens - m * kTileRows;
  const int64_t rows = left < kTileRows ? left : kTileRows;
  const int64_t columns = job.columns - p * kPanelRows;
  if (columns <= 0) return;
  const __mmask16 mask = static_cast<__mmask16>(columns >= kPanelRows ? 0xffffu : (1u << columns) - 1u);
  const __m512 scale =
      job.scales == nullptr ? _mm512_set1_ps(1.0f) : _mm512_loadu_ps(job.scales + p * kPanelRows);
  for (int64_t r = 0; r < rows; ++r)
    _mm512_mask_storeu_ps(job.y + (m * kTileRows + r) * job.y_stride + p * kPanelRows, mask,
                          _mm512_mul_ps(_mm512_load_ps(tile + r * kPanelRows), scale));
}

// Returns the bytes of expanded weights and sums.
int64_t amx_stream_scratch();
void amx_run_stream(const AmxJob& job);

}  // namespace pare
