// Products over panels of low-bit codes with AVX-512: codes are looked up as bytes and multiplied with inputs
// of 15 bits, a byte at a time.
#include <immintrin.h>

#include "kernels/cpu/avx512/column_mask.h"
#include "kernels/cpu/avx512/fixed_point.h"
#include "kernels/cpu/panel.h"

namespace pare {
namespace {

constexpr int kMaxTokens = 8;
constexpr int kInputBits = 14;  // |x| <= 2^14 units, so that its upper byte has no overflow
constexpr int kSliceSteps = kSliceColumns / 4;

template <PanelFormat kF>
constexpr CodeShape kShape = panel_block(kF).codes;
template <PanelFormat kF>
constexpr PanelCodes kLayout = panel_codes(panel_block(kF).codes);
template <PanelFormat kF>
constexpr int kSliceParts = static_cast<int>(kSliceColumns / kShape<kF>.part);

// Bytes from what is read to what is fetched ahead. One or two tokens stream faster with little, except in
// blocks of 256 columns (measured on Zen 4).
template <PanelFormat kF, int T>
constexpr int64_t kPrefetchBytes = T <= 2 && kShape<kF>.form != ScaleForm::kSuper ? 1024 : 4096;

// Words of x for a slice and a token: start and sum of each part, then two a step.
template <PanelFormat kF>
constexpr int kSliceWords = 2 * kSliceParts<kF> + 2 * kSliceSteps;

// The codes of columns 4·kStep to 4·kStep + 3 of a slice in the lowest bits of bytes; bits above are
// anything.
template <PanelFormat kF, int kStep>
inline __m512i codes_at(const unsigned char* slice) {
  constexpr int kLow = kLayout<kF>.low;
  constexpr int kHigh = kLayout<kF>.high;
  __m512i codes = _mm512_loadu_si512(slice + kStep * kLow / 8 * kStepBytes);
  constexpr int kAt = kStep * kLow % 8;
  if constexpr (kAt != 0) codes = _mm512_srli_epi16(codes, kAt);
  if constexpr (kHigh != 0) {
    constexpr int kPlace = kStep * kHigh % 8;
    __m512i high = _mm512_loadu_si512(slice + (kLow * kSliceSteps / 8 + kStep * kHigh / 8) * kStepBytes);
    if constexpr (kPlace > kLow) high = _mm512_srli_epi16(high, kPlace - kLow);
    if constexpr (kPlace < kLow) high = _mm512_slli_epi16(high, kLow - kPlace);
    // Takes the low bits from the first, all others from the second.
    codes = _mm512_ternarylogic_epi32(_mm512_set1_epi8((1 << kLow) - 1), codes, high, 0xca);
  }
  return codes;
}

// Levels plus kLevelBias of these columns.
template <PanelFormat kF, int kStep>
inline __m512i levels_at(const unsigned char* slice, __m512i table) {
  if constexpr (kShape<kF>.bits == 8)
    return codes_at<kF, kStep>(slice);
  else
    return _mm512_permutexvar_epi8(codes_at<kF, kStep>(slice), table);
}

inline __m512 halves(const unsigned char* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}

// A scale or minimum of each lane.
template <PanelFormat kF>
inline __m512 numbers(const unsigned char* from) {
  if constexpr (kShape<kF>.form == ScaleForm::kHalf)
    return halves(from);
  else
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
}

// Inlined always: GCC takes a call that only fetches ahead for one that does nothing.
template <PanelFormat kF, int T>
[[gnu::always_inline]] inline void prefetch(const unsigned char* from, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += kStepBytes)
    _mm_prefetch(reinterpret_cast<const char*>(from + kPrefetchBytes<kF, T> + i), _MM_HINT_T1);
}

// Adds steps kStep to kEnd - 1 of a slice to the sums of upper and of lower bytes. x holds the words of a
// step.
template <PanelFormat kF, int T, int P, int kStep, int kEnd>
[[gnu::always_inline]] inline void add_steps(const unsigned char* slice, int64_t apart, __m512i table,
                                             const int* x, __m512i (&high)[T][P], __m512i (&low)[T][P]) {
  __m512i levels[P];
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p) levels[p] = levels_at<kF, kStep>(slice + p * apart, table);
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t) {
    const __m512i upper = _mm512_set1_epi32(x[t]);
    const __m512i lower = _mm512_set1_epi32(x[T + t]);
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      high[t][p] = _mm512_dpbusd_epi32(high[t][p], levels[p], upper);
      low[t][p] = _mm512_dpbusd_epi32(low[t][p], levels[p], lower);
    }
  }
  if constexpr (kStep + 1 < kEnd)
    add_steps<kF, T, P, kStep + 1, kEnd>(slice, apart, table, x + 2 * T, high, low);
}

// Adds the products of part kPart of a slice, in units of x, to `sums`.
template <PanelFormat kF, int T, int P, int kPart>
[[gnu::always_inline]] inline void add_part(const unsigned char* slice, const unsigned char* scales,
                                            int64_t apart, __m512i table, const int* x,
                                            __m512 (&sums)[T][P]) {
  constexpr int kSteps = kSliceSteps / kSliceParts<kF>;
  __m512i high[T][P];
  __m512i low[T][P];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      high[t][p] = _mm512_setzero_si512();
      low[t][p] = _mm512_set1_epi32(x[2 * kPart * T + t]);
    }
  add_steps<kF, T, P, kPart * kSteps, (kPart + 1) * kSteps>(
      slice, apart, table, x + (2 * kSliceParts<kF> + 2 * kPart * kSteps) * T, high, low);
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p) {
    const __m512 scale = numbers<kF>(scales + p * apart + kPart * kLayout<kF>.scale_bytes);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      const __m512i whole = _mm512_add_epi32(_mm512_slli_epi32(high[t][p], 8), low[t][p]);
      sums[t][p] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole), scale, sums[t][p]);
    }
  }
  if constexpr (kPart + 1 < kSliceParts<kF>)
    add_part<kF, T, P, kPart + 1>(slice, scales, apart, table, x, sums);
}

// Adds minima times the sums of inputs, for the parts of a block.
template <PanelFormat kF, int T, int P>
[[gnu::always_inline]] inline void add_minima(const unsigned char* block, int64_t apart, const int* x,
                                              __m512 (&sums)[T][P]) {
  for (int64_t i = 0; i < kLayout<kF>.parts; ++i) {
    const int* slice = x + i / kSliceParts<kF> * kSliceWords<kF> * T;
    const int* inputs = slice + (2 * (i % kSliceParts<kF>)+1) * T;
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const __m512 minimum =
          numbers<kF>(block + p * apart + kLayout<kF>.minima + i * kLayout<kF>.scale_bytes);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t)
        sums[t][p] = _mm512_fmadd_ps(minimum, _mm512_castsi512_ps(_mm512_set1_epi32(inputs[t])), sums[t][p]);
    }
  }
}

// Adds a block's products, in units of x, to `sums`.
template <PanelFormat kF, int T, int P>
[[gnu::always_inline]] inline void add_block(const unsigned char* block, int64_t apart, __m512i table,
                                             const int* x, __m512 (&sums)[T][P]) {
  constexpr PanelCodes kAt = kLayout<kF>;
  constexpr bool kSuper = kShape<kF>.form == ScaleForm::kSuper;
  constexpr int kSlices = static_cast<int>(kAt.columns / kSliceColumns);
  __m512 own[T][P];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) own[t][p] = kSuper ? _mm512_setzero_ps() : sums[t][p];
  for (int s = 0; s < kSlices; ++s) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) prefetch<kF, T>(block + p * apart + s * kAt.slice, kAt.slice);
    add_part<kF, T, P, 0>(block + s * kAt.slice, block + kAt.scales + s * kSliceParts<kF> * kAt.scale_bytes,
                          apart, table, x + s * kSliceWords<kF> * T, own);
  }
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p) prefetch<kF, T>(block + p * apart + kAt.scales, kAt.bytes - kAt.scales);
  if constexpr (!kSuper) {
    if constexpr (kShape<kF>.minima) add_minima<kF, T, P>(block, apart, x, own);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) sums[t][p] = own[t][p];
  } else {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const __m512 unit = halves(block + p * apart + kAt.units);
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t) sums[t][p] = _mm512_fmadd_ps(own[t][p], unit, sums[t][p]);
    }
    if constexpr (kShape<kF>.minima) {
#pragma GCC unroll 8
      for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) own[t][p] = _mm512_setzero_ps();
      add_minima<kF, T, P>(block, apart, x, own);
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        const __m512 unit = halves(block + p * apart + kAt.units + 2 * kPanelRows);
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t) sums[t][p] = _mm512_fmadd_ps(own[t][p], unit, sums[t][p]);
      }
    }
  }
}

// T tokens × P panels: panels first, first + apart, ... as in the other panels.
template <PanelFormat kF, int T, int P>
void run_tile(const PanelJob& job, int64_t first, int64_t apart) {
  const unsigned char* w = job.w + first * job.panel_bytes;
  const int64_t w_apart = apart * job.panel_bytes;
  const __m512i table = kShape<kF>.bits == 8 ? _mm512_setzero_si512() : _mm512_loadu_si512(job.levels);
  const int* x = reinterpret_cast<const int*>(job.x);
  __m512 acc[T][P];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) acc[t][p] = _mm512_setzero_ps();
  for (int64_t k = 0; k < job.inputs; k += kFixedColumns) {
    const int* units = x;
    x += T;
    __m512 sums[T][P];
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) sums[t][p] = _mm512_setzero_ps();
    const int64_t width = job.inputs - k < kFixedColumns ? job.inputs - k : kFixedColumns;
    for (int64_t c = 0; c < width; c += kLayout<kF>.columns) {
      add_block<kF, T, P>(w, w_apart, table, x, sums);
      w += kLayout<kF>.bytes;
      x += kLayout<kF>.columns / kSliceColumns * kSliceWords<kF> * T;
    }
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      const __m512 unit = _mm512_castsi512_ps(_mm512_set1_epi32(units[t]));
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) acc[t][p] = _mm512_fmadd_ps(sums[t][p], unit, acc[t][p]);
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p) {
    const int64_t panel = first + p * apart;
    const __mmask16 mask = column_mask(job.columns - panel * kPanelRows);
    const __m512 scale = _mm512_loadu_ps(job.scales + panel * kPanelRows);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t)
      _mm512_mask_storeu_ps(job.y + t * job.y_stride + panel * kPanelRows, mask,
                            _mm512_mul_ps(acc[t][p], scale));
  }
}

template <PanelFormat kF, int T, int P>
void all_panels(const PanelJob& job) {
  const int64_t apart = job.panels / P;
  for (int64_t panel = 0; panel < apart; ++panel) run_tile<kF, T, P>(job, panel, apart);
  for (int64_t panel = apart * P; panel < job.panels; ++panel) run_tile<kF, T, 1>(job, panel, 0);
}

template <PanelFormat kF>
void run(const PanelJob& job) {
  static constexpr void (*kTable[kMaxTokens])(const PanelJob&) = {
      all_panels<kF, 1, 2>, all_panels<kF, 2, 2>, all_panels<kF, 3, 2>, all_panels<kF, 4, 2>,
      all_panels<kF, 5, 1>, all_panels<kF, 6, 1>, all_panels<kF, 7, 1>, all_panels<kF, 8, 1>};
  kTable[job.tokens - 1](job);
}

// Packs the words of kSliceWords for each slice of each kFixedColumns columns, behind the units of the
// tokens. A number is 256 times its upper byte plus its lower one; the start of a part takes kLevelBias off
// levels.
template <PanelFormat kF>
void pack_x(const float* x, int64_t stride, int64_t tokens, int64_t known, int64_t columns, float* out) {
  constexpr int kParts = kSliceParts<kF>;
  int* words = reinterpret_cast<int*>(out);
  for (int64_t first = 0; first < columns; first += kFixedColumns) {
    const int64_t width = columns - first < kFixedColumns ? columns - first : kFixedColumns;
    for (int64_t t = 0; t < tokens; ++t) {
      const float* row = x + t * stride + first;
      const __m512 unit = unit_of(row, known - first, width, kInputBits);
      const __m512 inverse = _mm512_div_ps(_mm512_set1_ps(1.0f), unit);
      words[t] = _mm_cvtsi128_si32(_mm_castps_si128(_mm512_castps512_ps128(unit)));
      int* slice = words + tokens + t;
      for (int64_t k = 0; k < width; k += kSliceColumns, slice += kSliceWords<kF> * tokens) {
        int totals[2];
        for (int64_t half = 0; half < 2; ++half) {
          const int64_t at = k + 16 * half;
          const __m512 values = _mm512_maskz_loadu_ps(column_mask(known - first - at), row + at);
          const __m512i number = _mm512_cvtps_epi32(_mm512_mul_ps(values, inverse));
          totals[half] = _mm512_reduce_add_epi32(number);
          const __m512i lower = _mm512_srai_epi32(_mm512_slli_epi32(number, 24), 24);
          const __m512i upper = _mm512_srai_epi32(_mm512_sub_epi32(number, lower), 8);
          int bytes[8];
          _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes), _mm512_cvtepi32_epi8(upper));
          _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes + 4), _mm512_cvtepi32_epi8(lower));
          for (int64_t s = 0; s < 4; ++s) {
            int* step = slice + (2 * kParts + 2 * (4 * half + s)) * tokens;
            step[0] = bytes[s];
            step[tokens] = bytes[4 + s];
          }
        }
        if (kParts == 1) totals[0] += totals[1];
        for (int64_t part = 0; part < kParts; ++part) {
          slice[2 * part * tokens] = -kLevelBias * totals[part];
          const __m128 sum = _mm_cvtsi32_ss(_mm_setzero_ps(), totals[part]);
          slice[(2 * part + 1) * tokens] = _mm_cvtsi128_si32(_mm_castps_si128(sum));
        }
      }
    }
    words += (1 + width / kSliceColumns * kSliceWords<kF>)*tokens;
  }
}

// Writes steps kStep to the last of a slice as bf16, two columns a step. Values are scale · level + minimum.
template <PanelFormat kF, int kStep>
inline void widen_steps(const unsigned char* slice, __m512i table, const __m512* scales,
                        const __m512* offsets, unsigned char* out) {
  constexpr int kPart = kStep * kSliceParts<kF> / kSliceSteps;
  const __m512i levels = levels_at<kF, kStep>(slice, table);
  const __m512i byte = _mm512_set1_epi32(255);
  const __m512i parts[4] = {
      _mm512_and_si512(levels, byte), _mm512_and_si512(_mm512_srli_epi32(levels, 8), byte),
      _mm512_and_si512(_mm512_srli_epi32(levels, 16), byte), _mm512_srli_epi32(levels, 24)};
  const __m512i interleave = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
                                              23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
#pragma GCC unroll 2
  for (int h = 0; h < 2; ++h) {
    const __m512 v0 = _mm512_fmadd_ps(_mm512_cvtepi32_ps(parts[2 * h]), scales[kPart], offsets[kPart]);
    const __m512 v1 = _mm512_fmadd_ps(_mm512_cvtepi32_ps(parts[2 * h + 1]), scales[kPart], offsets[kPart]);
    const __m512i pair = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(v1, v0));
    _mm512_storeu_si512(out + (2 * kStep + h) * kStepBytes, _mm512_permutexvar_epi16(interleave, pair));
  }
  if constexpr (kStep + 1 < kSliceSteps) widen_steps<kF, kStep + 1>(slice, table, scales, offsets, out);
}

template <PanelFormat kF>
void widen(const unsigned char* panel, int64_t slice, const unsigned char* levels, unsigned char* out) {
  constexpr PanelCodes kAt = kLayout<kF>;
  constexpr bool kSuper = kShape<kF>.form == ScaleForm::kSuper;
  constexpr int64_t kSlices = kAt.columns / kSliceColumns;
  const __m512i table = kShape<kF>.bits == 8 ? _mm512_setzero_si512() : _mm512_loadu_si512(levels);
  const unsigned char* block = panel + slice / kSlices * kAt.bytes;
  const int64_t s = slice % kSlices;
  __m512 scales[kSliceParts<kF>];
  __m512 offsets[kSliceParts<kF>];
  for (int64_t i = 0; i < kSliceParts<kF>; ++i) {
    const int64_t at = (s * kSliceParts<kF> + i) * kAt.scale_bytes;
    scales[i] = numbers<kF>(block + kAt.scales + at);
    if (kSuper) scales[i] = _mm512_mul_ps(scales[i], halves(block + kAt.units));
    offsets[i] = _mm512_mul_ps(scales[i], _mm512_set1_ps(-kLevelBias));
    if (!kShape<kF>.minima) continue;
    __m512 minimum = numbers<kF>(block + kAt.minima + at);
    if (kSuper) minimum = _mm512_mul_ps(minimum, halves(block + kAt.units + 2 * kPanelRows));
    offsets[i] = _mm512_add_ps(offsets[i], minimum);
  }
  widen_steps<kF, 0>(block + s * kAt.slice, table, scales, offsets, out);
}

template <PanelFormat kF>
constexpr PanelKernels kernels_of() {
  return {
      .format = kF,
      .max_tokens = kMaxTokens,
      .gemv_tokens = kMaxTokens,
      .gemm_panels = 2,
      .gemm_columns = kL2Columns,
      .run = run<kF>,
      .pack = nullptr,
      .wide_tokens = kMaxTokens + 1,
      .wide = &kPanelAvx512Bf16,
      .widen = widen<kF>,
      .pack_x = pack_x<kF>,
  };
}

}  // namespace

const PanelKernels kPanelAvx512Codes[kCodeFormats] = {
    kernels_of<PanelFormat::kHalf4>(),     kernels_of<PanelFormat::kHalf4Min>(),
    kernels_of<PanelFormat::kHalf5>(),     kernels_of<PanelFormat::kHalf5Min>(),
    kernels_of<PanelFormat::kHalf8>(),     kernels_of<PanelFormat::kSuper2Min>(),
    kernels_of<PanelFormat::kSuper3>(),    kernels_of<PanelFormat::kSuper4>(),
    kernels_of<PanelFormat::kSuper4Min>(), kernels_of<PanelFormat::kSuper5Min>(),
    kernels_of<PanelFormat::kSuper6>(),    kernels_of<PanelFormat::kRow3>(),
    kernels_of<PanelFormat::kRow4>(),
};

}  // namespace pare
