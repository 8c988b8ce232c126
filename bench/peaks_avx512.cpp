#include <immintrin.h>

#include "peaks.h"

namespace pare::bench {

float multiply_add_avx512(int64_t rounds) {
  __m512 acc[24];
#pragma GCC unroll 24
  for (int j = 0; j < 24; ++j) acc[j] = _mm512_set1_ps(0.5f);
  const __m512 x = _mm512_set1_ps(0.999f);
  for (int64_t i = 0; i < rounds; ++i)
#pragma GCC unroll 24
    for (int j = 0; j < 24; ++j) {
      acc[j] = _mm512_fmadd_ps(acc[j], x, x);
      __asm__ volatile("" : "+v"(acc[j]));
    }
#pragma GCC unroll 24
  for (int j = 1; j < 24; ++j) acc[0] = _mm512_add_ps(acc[0], acc[j]);
  return _mm512_reduce_add_ps(acc[0]);
}

float tile_products(int64_t rounds) {
  struct alignas(64) {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } config;
  __asm__ volatile("" ::"r"(&config) : "memory");
  _tile_loadconfig(&config);
  alignas(64) static char zeros[1024] = {};
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, zeros, 64);
  _tile_loadd(5, zeros, 64);
  _tile_loadd(6, zeros, 64);
  _tile_loadd(7, zeros, 64);
  for (int64_t i = 0; i < rounds; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  alignas(64) float result[256];
  _tile_stored(0, result, 64);
  _tile_release();
  return result[0];
}

}  // namespace pare::bench
