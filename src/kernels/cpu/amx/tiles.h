// Shared parts of the tile products, for the files of this folder.
#pragma once

#include <immintrin.h>

#include "kernels/cpu/panel.h"

namespace pare {

inline constexpr int64_t kTileFloats = 256;
inline constexpr int64_t kTileColumns = 32;
inline constexpr int64_t kTileRows = 16;
inline constexpr int64_t kBlockTiles = 8;  // tiles of a column block: two panels of it stay in L1

inline constexpr float kInt8Unit = 0x1p24f;  // factor of expanded int8 values

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

// Token tile m of column block [k0, k0 + n): the tiles of a block are contiguous.
static inline int64_t token_tile_offset(int64_t token_tiles, int64_t k_tiles, int64_t k, int64_t m) {
  const int64_t block = k / kBlockTiles * kBlockTiles;
  const int64_t length = k_tiles - block < kBlockTiles ? k_tiles - block : kBlockTiles;
  return (block * token_tiles + m * length + (k - block)) * kTileBytes;
}

// Bytes of the 32 columns of a panel that a tile holds.
static inline int64_t packed_tile_bytes(PanelFormat format) {
  const PanelBlock block = panel_block(format);
  return kTileColumns * block.bytes / block.columns;
}

// Copies the sums of token tile m and panel p to y.
static inline void copy_out(const AmxJob& job, int64_t m, int64_t p, const float* tile) {
  const int64_t left = job.tokens - m * kTileRows;
  const int64_t rows = left < kTileRows ? left : kTileRows;
  const int64_t columns = job.columns - p * kPanelRows;
  if (columns <= 0) return;
  const __mmask16 mask = static_cast<__mmask16>(columns >= kPanelRows ? 0xffffu : (1u << columns) - 1u);
  __m512 scale = _mm512_set1_ps(is_int8(job.format) ? 1.0f / kInt8Unit : 1.0f);
  if (job.scales != nullptr) scale = _mm512_mul_ps(scale, _mm512_loadu_ps(job.scales + p * kPanelRows));
  for (int64_t r = 0; r < rows; ++r)
    _mm512_mask_storeu_ps(job.y + (m * kTileRows + r) * job.y_stride + p * kPanelRows, mask,
                          _mm512_mul_ps(_mm512_load_ps(tile + r * kPanelRows), scale));
}

// Up to two tiles of tokens are bound by reading the weights, so whole panels are streamed (stream_amx.cpp).
inline constexpr int64_t kStreamTokens = 2 * kTileRows;
// Returns the bytes of expanded weights and sums.
int64_t amx_stream_scratch();
void amx_run_stream(const AmxJob& job);

}  // namespace pare
