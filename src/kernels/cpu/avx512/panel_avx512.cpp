// Register-tiled products over packed panels with AVX-512.
#include <immintrin.h>

#include "kernels/cpu/avx512/bf16_pairs.h"
#include "kernels/cpu/avx512/column_mask.h"
#include "kernels/cpu/avx512/fixed_point.h"
#include "kernels/cpu/avx512/transpose.h"
#include "kernels/cpu/panel.h"

namespace pare {
namespace {

constexpr int kMaxTokens = 14;    // 14 × 2 accumulators, 2 weight vectors
constexpr int kStreamTokens = 8;  // up to here the weights come from memory and are fetched ahead
constexpr int64_t kPrefetchBytes = 32768;

// A product of a step and an input of x, added up: f32 × f32, or two bf16 × two bf16 of neighbouring columns.
template <PanelFormat kFormat>
inline __m512 multiply_add(__m512 w, __m512 x, __m512 sum) {
  if constexpr (kFormat == PanelFormat::kBF16)
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(w), reinterpret_cast<__m512bh>(x));
  else
    return _mm512_fmadd_ps(w, x, sum);
}

// T tokens × P panels: panels first, first + apart, ... P streams that are far from each other use more of
// the memory's bandwidth than neighbours would.
template <int T, int P>
struct Tile {
  const unsigned char* w;
  int64_t w_apart;
  float* y;
  int64_t y_stride;
  int64_t y_apart;
  int64_t columns;      // outputs from the first panel on
  const float* scales;  // scales of the first panel; null: none
  __m512 acc[T][P];

  Tile(const PanelJob& job, int64_t first, int64_t apart)
      : w(job.w + first * job.panel_bytes),
        w_apart(apart * job.panel_bytes),
        y(job.y + first * kPanelRows),
        y_stride(job.y_stride),
        y_apart(apart * kPanelRows),
        columns(job.columns - first * kPanelRows),
        scales(job.scales == nullptr ? nullptr : job.scales + first * kPanelRows) {
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p)
        acc[t][p] = job.accumulate ? _mm512_maskz_loadu_ps(column_mask(columns - y_apart * p),
                                                           y + t * y_stride + y_apart * p)
                                   : _mm512_setzero_ps();
  }

  // Loads the next step of every panel.
  void load(__m512i* raw) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      raw[p] = _mm512_loadu_si512(w + p * w_apart);
      if (T <= kStreamTokens)
        _mm_prefetch(reinterpret_cast<const char*>(w + p * w_apart + kPrefetchBytes), _MM_HINT_T1);
    }
    w += kStepBytes;
  }

  void store() const {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const __mmask16 mask = column_mask(columns - y_apart * p);
      const __m512 scale = scales == nullptr ? _mm512_set1_ps(1.0f) : _mm512_loadu_ps(scales + y_apart * p);
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t)
        _mm512_mask_storeu_ps(y + t * y_stride + y_apart * p, mask, _mm512_mul_ps(acc[t][p], scale));
    }
  }
};

// Products of f32 and bf16: a step is one column or two, and takes one value of x or one pair.
template <PanelFormat kFormat, int T, int P>
void run_steps(const PanelJob& job, Tile<T, P>& tile) {
  const float* x = job.x;
  const int64_t steps = kFormat == PanelFormat::kBF16 ? job.inputs / 2 : job.inputs;
  for (int64_t s = 0; s < steps; ++s, x += T) {
    __m512i raw[P];
    tile.load(raw);
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p)
        tile.acc[t][p] =
            multiply_add<kFormat>(_mm512_castsi512_ps(raw[p]), _mm512_set1_ps(x[t]), tile.acc[t][p]);
  }
}

// Products of int8: sums of whole numbers are exact in 32 bits for a column block (256 · 128 · 32767 < 2^31).
template <int T, int P>
void run_blocks(const PanelJob& job, Tile<T, P>& tile) {
  const float* x = job.x;
  for (int64_t k = 0; k < job.inputs; k += kFixedColumns) {
    const float* units = x;
    x += T;
    const int64_t steps = (job.inputs - k < kFixedColumns ? job.inputs - k : kFixedColumns) / 4;
    __m512i sums[T][P];
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) sums[t][p] = _mm512_setzero_si512();
    for (int64_t s = 0; s < steps; ++s, x += 2 * T) {
      __m512i raw[P];
      tile.load(raw);
      __m512i even[P];
      __m512i odd[P];
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        even[p] = _mm512_srai_epi16(_mm512_slli_epi16(raw[p], 8), 8);
        odd[p] = _mm512_srai_epi16(raw[p], 8);
      }
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) {
          sums[t][p] = _mm512_dpwssd_epi32(sums[t][p], even[p], _mm512_castps_si512(_mm512_set1_ps(x[t])));
          sums[t][p] = _mm512_dpwssd_epi32(sums[t][p], odd[p], _mm512_castps_si512(_mm512_set1_ps(x[T + t])));
        }
    }
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p)
        tile.acc[t][p] =
            _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[t][p]), _mm512_set1_ps(units[t]), tile.acc[t][p]);
  }
}

template <PanelFormat kFormat, int T, int P>
void run_tile(const PanelJob& job, int64_t first, int64_t apart) {
  Tile<T, P> tile(job, first, apart);
  if constexpr (kFormat == PanelFormat::kInt8)
    run_blocks<T, P>(job, tile);
  else
    run_steps<kFormat, T, P>(job, tile);
  tile.store();
}

template <PanelFormat kFormat, int T, int P>
void all_panels(const PanelJob& job) {
  const int64_t apart = job.panels / P;
  for (int64_t panel = 0; panel < apart; ++panel) run_tile<kFormat, T, P>(job, panel, apart);
  for (int64_t panel = apart * P; panel < job.panels; ++panel) run_tile<kFormat, T, 1>(job, panel, 0);
}

template <PanelFormat kF>
void run(const PanelJob& job) {
  static constexpr void (*kTable[kMaxTokens])(const PanelJob&) = {
      all_panels<kF, 1, 4>,  all_panels<kF, 2, 4>,  all_panels<kF, 3, 4>,  all_panels<kF, 4, 4>,
      all_panels<kF, 5, 4>,  all_panels<kF, 6, 4>,  all_panels<kF, 7, 2>,  all_panels<kF, 8, 2>,
      all_panels<kF, 9, 2>,  all_panels<kF, 10, 2>, all_panels<kF, 11, 2>, all_panels<kF, 12, 2>,
      all_panels<kF, 13, 2>, all_panels<kF, 14, 2>};
  kTable[job.tokens - 1](job);
}

void run_int8(const PanelJob& job) {
  constexpr PanelFormat kF = PanelFormat::kInt8;
  static constexpr void (*kTable[kStreamTokens])(const PanelJob&) = {
      all_panels<kF, 1, 4>, all_panels<kF, 2, 4>, all_panels<kF, 3, 4>, all_panels<kF, 4, 4>,
      all_panels<kF, 5, 2>, all_panels<kF, 6, 2>, all_panels<kF, 7, 2>, all_panels<kF, 8, 2>};
  kTable[job.tokens - 1](job);
}

void pack_f32(float* rows, int64_t columns, unsigned char* panel) {
  for (int64_t k = 0; k < columns; k += 16) {
    const __mmask16 mask = column_mask(columns - k);
    __m512 v[16];
    for (int r = 0; r < 16; ++r) v[r] = _mm512_maskz_loadu_ps(mask, rows + r * columns + k);
    transpose16(v);
    for (int64_t s = 0; s < 16 && k + s < columns; ++s)
      _mm512_store_ps(reinterpret_cast<float*>(panel + (k + s) * kStepBytes), v[s]);
  }
}

inline void store_tile(__m512* v, unsigned char* tile_bytes) {
  transpose16(v);
#pragma GCC unroll 16
  for (int s = 0; s < 16; ++s) _mm512_store_ps(reinterpret_cast<float*>(tile_bytes + s * kStepBytes), v[s]);
}

void pack_bf16(float* rows, int64_t columns, unsigned char* panel) {
  for (int64_t k = 0; k < columns; k += 32, panel += kTileBytes) {
    __m512 v[16];
    for (int r = 0; r < 16; ++r) {
      const float* row = rows + r * columns + k;
      v[r] = reinterpret_cast<__m512>(_mm512_cvtne2ps_pbh(_mm512_loadu_ps(row + 16), _mm512_loadu_ps(row)));
    }
    store_tile(v, panel);
  }
}

// Words of two bf16: (columns / 2, tokens).
void pack_pairs(const float* x, int64_t stride, int64_t tokens, int64_t known, int64_t columns, float* out) {
  for (int64_t k = 0; k < columns; k += 32, out += 16 * tokens) {
    const auto pairs = [&](int64_t t) {
      return _mm512_castsi512_ps(bf16_pairs(x + t * stride + k, known - k));
    };
    if (tokens == 1) {
      _mm512_storeu_ps(out, pairs(0));
      continue;
    }
    for (int64_t first = 0; first < tokens; first += 16) {
      __m512 v[16];
      for (int64_t t = 0; t < 16; ++t) v[t] = first + t < tokens ? pairs(first + t) : _mm512_setzero_ps();
      transpose16(v);
      for (int64_t s = 0; s < 16; ++s)
        _mm512_mask_storeu_ps(out + s * tokens + first, column_mask(tokens - first), v[s]);
    }
  }
}

// Words of two numbers of 16 bits, for each block of columns: the units (tokens), then for every four columns
// those of the even and those of the odd ones, (columns / 4, 2, tokens).
void pack_fixed(const float* x, int64_t stride, int64_t tokens, int64_t known, int64_t columns, float* out) {
  for (int64_t first = 0; first < columns; first += kFixedColumns) {
    const int64_t width = columns - first < kFixedColumns ? columns - first : kFixedColumns;
    float* words = out + tokens;
    for (int64_t t = 0; t < tokens; ++t) {
      const float* row = x + t * stride + first;
      // Rounding to bf16 may reach 2^15, which is clamped. Values down to 2^-7 of the largest stay exact.
      const __m512 unit = unit_of(row, known - first, width, 15);
      const __m512 inverse = _mm512_div_ps(_mm512_set1_ps(1.0f), unit);
      out[t] = _mm512_cvtss_f32(unit);
      for (int64_t k = 0; k < width; k += 16) {
        const __m512 raw = _mm512_maskz_loadu_ps(column_mask(known - first - k), row + k);
        const __m512i bits = _mm512_castps_si512(raw);
        const __m512i odd_bit = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
        const __m512i rounded =
            _mm512_and_si512(_mm512_add_epi32(bits, _mm512_add_epi32(odd_bit, _mm512_set1_epi32(0x7fff))),
                             _mm512_set1_epi32(static_cast<int>(0xffff0000u)));
        const __m512i number = _mm512_min_epi32(
            _mm512_max_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(_mm512_castsi512_ps(rounded), inverse)),
                             _mm512_set1_epi32(-32767)),
            _mm512_set1_epi32(32767));
        // Columns 0 and 2 of every four come before 1 and 3: lanes 0 and 1 of the 128 bits that hold them.
        const __m512i later = _mm512_slli_epi32(_mm512_shuffle_epi32(number, _MM_PERM_BADC), 16);
        const __m512i pairs = _mm512_or_si512(_mm512_and_si512(number, _mm512_set1_epi32(0xffff)), later);
        float* to = words + k / 2 * tokens + t;
        if (tokens == 1) {
          _mm512_mask_compressstoreu_epi32(to, 0x3333, pairs);
          continue;
        }
        float eight[8];
        _mm512_mask_compressstoreu_epi32(eight, 0x3333, pairs);
        for (int64_t i = 0; i < 8; ++i) to[i * tokens] = eight[i];
      }
    }
    out = words + width / 2 * tokens;
  }
}

// Each value a lane becomes the same value in bf16, which holds whole numbers of eight bits exactly.
void widen_int8(const unsigned char* panel, int64_t slice, const unsigned char* /*levels*/,
                unsigned char* out) {
  const unsigned char* step = panel + slice * kTileBytes / 2;
  for (int64_t k = 0; k < kSliceColumns; k += 4, step += kStepBytes, out += 2 * kStepBytes) {
    const __m512i raw = _mm512_loadu_si512(step);
    __m512 v[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j)
      v[j] = _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_sllv_epi32(raw, _mm512_set1_epi32(24 - 8 * j)), 24));
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h)
      _mm512_storeu_si512(out + h * kStepBytes, exact_pairs(v[2 * h], v[2 * h + 1]));
  }
}

void pack_int8(float* rows, int64_t columns, unsigned char* panel) {
  for (int64_t k = 0; k < columns; k += 64, panel += kTileBytes) {
    __m512 v[16];
    for (int r = 0; r < 16; ++r) {
      const float* row = rows + r * columns + k;
      __m512i bytes = _mm512_setzero_si512();
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const __m128i part = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_loadu_ps(row + 16 * i)));
        bytes = _mm512_mask_broadcast_i32x4(bytes, static_cast<__mmask16>(0xf << (4 * i)), part);
      }
      v[r] = _mm512_castsi512_ps(bytes);
    }
    store_tile(v, panel);
  }
}

}  // namespace

const PanelKernels kPanelAvx512F32 = {
    .format = PanelFormat::kF32,
    .max_tokens = kMaxTokens,
    .gemv_tokens = kStreamTokens,
    .gemm_panels = 2,
    .gemm_columns = kL2Columns,
    .run = run<PanelFormat::kF32>,
    .pack = pack_f32,
};
const PanelKernels kPanelAvx512Bf16 = {
    .format = PanelFormat::kBF16,
    .max_tokens = kMaxTokens,
    .gemv_tokens = kStreamTokens,
    .gemm_panels = 2,
    .gemm_columns = kL2Columns,
    .run = run<PanelFormat::kBF16>,
    .multiplies_bf16 = true,
    .pack = pack_bf16,
    .pack_x = pack_pairs,
};
const PanelKernels kPanelAvx512Int8 = {
    .format = PanelFormat::kInt8,
    .max_tokens = kStreamTokens,
    .gemv_tokens = kStreamTokens,
    .gemm_panels = 2,
    .gemm_columns = kL2Columns,
    .run = run_int8,
    .pack = pack_int8,
    .wide_tokens = kStreamTokens + 1,
    .wide = &kPanelAvx512Bf16,
    .widen = widen_int8,
    .pack_x = pack_fixed,
};

}  // namespace pare
