// Tile products of few tokens: every panel is read once, from end to end, several side by side.
#include "kernels/cpu/amx/tiles.h"

namespace pare {
namespace {

constexpr int64_t kPrefetchBytes = 32768;
constexpr int64_t kRing = 4;  // widened tiles of a panel that are held
constexpr int64_t kLead = 2;  // tiles by which widening runs ahead of the products
constexpr int64_t kMaxPanels = 4;

// kTokens token tiles × kPanels panels in tile registers over all columns: panels first, first + apart, ...
template <bool kWiden, int kTokens, int kPanels>
void multiply(const AmxJob& job, int64_t first, int64_t apart, unsigned char* ring, float* sums) {
  const int64_t bytes = job.panel_bytes / job.k_tiles;  // bytes of the columns of a tile, about
  const auto packed = [&](int64_t k, int64_t p) {
    return job.w + (first + p * apart) * job.panel_bytes + k * bytes;
  };
  const auto wide = [&](int64_t k, int64_t p) { return ring + (k % kRing * kMaxPanels + p) * kTileBytes; };
  const auto prepare = [&](int64_t k) {
#pragma GCC unroll 4
    for (int64_t p = 0; p < kPanels; ++p) {
      for (int64_t i = 0; i < bytes; i += 64)
        _mm_prefetch(reinterpret_cast<const char*>(packed(k, p) + kPrefetchBytes + i), _MM_HINT_T1);
      if (kWiden) widen_tile(job, first + p * apart, k, wide(k, p));
    }
  };
  const auto weights = [&](int64_t k, int64_t p) -> const unsigned char* {
    return kWiden ? wide(k, p) : packed(k, p);
  };
  _tile_zero(0);
  if (kTokens * kPanels > 1) _tile_zero(1);
  if (kTokens * kPanels > 2) _tile_zero(2);
  if (kTokens * kPanels > 2) _tile_zero(3);
  const int64_t lead = kWiden ? kLead : 0;
  for (int64_t k = 0; k < lead && k < job.k_tiles; ++k) prepare(k);
  for (int64_t k = 0; k < job.k_tiles; ++k) {
    if (k + lead < job.k_tiles) prepare(k + lead);
    const unsigned char* x = job.x + k * kTileBytes;
    _tile_loadd(4, x, 64);
    _tile_loadd(6, weights(k, 0), 64);
    _tile_dpbf16ps(0, 4, 6);
    if (kTokens == 2) {
      _tile_loadd(5, x + job.k_tiles * kTileBytes, 64);
      if (kPanels == 2)
        _tile_dpbf16ps(2, 5, 6);
      else
        _tile_dpbf16ps(1, 5, 6);
    }
    if (kPanels >= 2) {
      _tile_loadd(7, weights(k, 1), 64);
      _tile_dpbf16ps(1, 4, 7);
      if (kTokens == 2) _tile_dpbf16ps(3, 5, 7);
    }
    if (kPanels == 4) {
      _tile_loadd(6, weights(k, 2), 64);
      _tile_dpbf16ps(2, 4, 6);
      _tile_loadd(7, weights(k, 3), 64);
      _tile_dpbf16ps(3, 4, 7);
    }
  }
  _tile_stored(0, sums, 64);
  if (kTokens * kPanels > 1) _tile_stored(1, sums + kTileFloats, 64);
  if (kTokens * kPanels > 2) _tile_stored(2, sums + 2 * kTileFloats, 64);
  if (kTokens * kPanels > 2) _tile_stored(3, sums + 3 * kTileFloats, 64);
}

template <bool kWiden, int kTokens, int kPanels>
void pass(const AmxJob& job, int64_t first, int64_t apart) {
  float* sums = reinterpret_cast<float*>(job.scratch);
  unsigned char* ring = job.scratch + 4 * kTileBytes;
  multiply<kWiden, kTokens, kPanels>(job, first, apart, ring, sums);
  for (int64_t m = 0; m < kTokens; ++m)
    for (int64_t p = 0; p < kPanels; ++p)
      copy_out(job, m, first + p * apart, sums + (m * kPanels + p) * kTileFloats);
}

template <bool kWiden, int kTokens>
void all_panels(const AmxJob& job) {
  constexpr int kPanels = kTokens == 1 ? 4 : 2;
  const int64_t apart = job.panels / kPanels;
  for (int64_t p = 0; p < apart; ++p) pass<kWiden, kTokens, kPanels>(job, p, apart);
  for (int64_t p = apart * kPanels; p < job.panels; ++p) pass<kWiden, kTokens, 1>(job, p, 0);
}

template <int kTokens>
void run(const AmxJob& job) {
  return job.widen == nullptr ? all_panels<false, kTokens>(job) : all_panels<true, kTokens>(job);
}

}  // namespace

int64_t amx_stream_scratch() { return (4 + kRing * kMaxPanels) * kTileBytes; }

void amx_run_stream(const AmxJob& job) {
  if (job.tokens <= kTileRows) {
    configure_tiles(job.tokens, 0x1f);  // sums 0..3 and tokens 4
    run<1>(job);
  } else {
    configure_tiles(kTileRows, 0);
    run<2>(job);
  }
  _tile_release();
}

}  // namespace pare
