// Products over panels of low-bit codes with AVX2: levels become numbers of 16 bits and are multiplied with
// inputs of 16 bits.
#include <immintrin.h>

#include "kernels/cpu/avx2/lanes.h"
#include "kernels/cpu/panel.h"

namespace pare {
namespace {

constexpr int kMaxTokens = 4;
constexpr int64_t kFixedColumns = 256;  // columns of x that have one unit
constexpr int64_t kPrefetchBytes = 4096;
constexpr int kSliceSteps = kSliceColumns / 4;
constexpr int kHalves = 2;  // vectors of a step

template <PanelFormat kF>
constexpr CodeShape kShape = panel_block(kF).codes;
template <PanelFormat kF>
constexpr PanelCodes kLayout = panel_codes(panel_block(kF).codes);
template <PanelFormat kF>
constexpr int kSliceParts = static_cast<int>(kSliceColumns / kShape<kF>.part);
// Words of x for a slice and a token: the sum of each part, then for each step those of its even columns and
// of its odd ones.
template <PanelFormat kF>
constexpr int kSliceWords = kSliceParts<kF> + 2 * kSliceSteps;

inline __m256i load(const unsigned char* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

// Levels of all codes, or that of code 0 in every byte where codes have more than four bits.
template <PanelFormat kF>
inline __m256i level_table(const unsigned char* levels) {
  if constexpr (kShape<kF>.bits == 8) return _mm256_set1_epi8(-kLevelBias);
  if constexpr (kShape<kF>.bits > 4) return _mm256_set1_epi8(static_cast<char>(levels[0] - kLevelBias));
  const __m128i table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(levels));
  return _mm256_xor_si256(_mm256_broadcastsi128_si256(table), _mm256_set1_epi8(-kLevelBias));
}

// Levels of columns 4·kStep to 4·kStep + 3 of eight lanes of a slice, as bytes.
template <PanelFormat kF, int kStep>
inline __m256i levels_at(const unsigned char* slice, __m256i table) {
  constexpr int kLow = kLayout<kF>.low;
  constexpr int kHigh = kLayout<kF>.high;
  __m256i codes = load(slice + kStep * kLow / 8 * kStepBytes);
  constexpr int kAt = kStep * kLow % 8;
  if constexpr (kAt != 0) codes = _mm256_srli_epi16(codes, kAt);
  if constexpr (kLow < 8) codes = _mm256_and_si256(codes, _mm256_set1_epi8((1 << kLow) - 1));
  if constexpr (kHigh != 0) {
    constexpr int kPlace = kStep * kHigh % 8;
    __m256i high = load(slice + (kLow * kSliceSteps / 8 + kStep * kHigh / 8) * kStepBytes);
    if constexpr (kPlace > kLow) high = _mm256_srli_epi16(high, kPlace - kLow);
    if constexpr (kPlace < kLow) high = _mm256_slli_epi16(high, kLow - kPlace);
    high = _mm256_and_si256(high, _mm256_set1_epi8(((1 << kHigh) - 1) << kLow));
    codes = _mm256_or_si256(codes, high);
  }
  if constexpr (kShape<kF>.bits <= 4) return _mm256_shuffle_epi8(table, codes);
  return _mm256_add_epi8(codes, table);
}

inline __m256 halves(const unsigned char* from) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

// A scale or minimum of eight lanes from lane 8·half on.
template <PanelFormat kF>
inline __m256 numbers(const unsigned char* from, int half) {
  if constexpr (kShape<kF>.form == ScaleForm::kHalf)
    return halves(from + 16 * half);
  else
    return _mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from + 8 * half))));
}

// Inlined always: GCC takes a call that only fetches ahead for one that does nothing.
[[gnu::always_inline]] inline void prefetch(const unsigned char* from, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += kStepBytes)
    _mm_prefetch(reinterpret_cast<const char*>(from + kPrefetchBytes + i), _MM_HINT_T1);
}

// Adds steps kStep to kEnd - 1 of a slice. x holds the words of a step.
template <PanelFormat kF, int T, int kStep, int kEnd>
[[gnu::always_inline]] inline void add_steps(const unsigned char* slice, __m256i table, const int* x,
                                             __m256i (&sums)[T][kHalves]) {
#pragma GCC unroll 2
  for (int h = 0; h < kHalves; ++h) {
    const __m256i levels = levels_at<kF, kStep>(slice + 32 * h, table);
    const __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(levels, 8), 8);
    const __m256i odd = _mm256_srai_epi16(levels, 8);
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) {
      const __m256i products = _mm256_add_epi32(_mm256_madd_epi16(even, _mm256_set1_epi32(x[t])),
                                                _mm256_madd_epi16(odd, _mm256_set1_epi32(x[T + t])));
      sums[t][h] = _mm256_add_epi32(sums[t][h], products);
    }
  }
  if constexpr (kStep + 1 < kEnd) add_steps<kF, T, kStep + 1, kEnd>(slice, table, x + 2 * T, sums);
}

// Adds the products of part kPart of a slice and the parts behind it, in units of x.
template <PanelFormat kF, int T, int kPart>
[[gnu::always_inline]] inline void add_part(const unsigned char* slice, const unsigned char* scales,
                                            __m256i table, const int* x, __m256 (&sums)[T][kHalves]) {
  constexpr int kSteps = kSliceSteps / kSliceParts<kF>;
  __m256i whole[T][kHalves];
#pragma GCC unroll 4
  for (int t = 0; t < T; ++t) whole[t][0] = whole[t][1] = _mm256_setzero_si256();
  add_steps<kF, T, kPart * kSteps, (kPart + 1) * kSteps>(
      slice, table, x + (kSliceParts<kF> + 2 * kPart * kSteps) * T, whole);
#pragma GCC unroll 2
  for (int h = 0; h < kHalves; ++h) {
    const __m256 scale = numbers<kF>(scales + kPart * kLayout<kF>.scale_bytes, h);
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t)
      sums[t][h] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(whole[t][h]), scale, sums[t][h]);
  }
  if constexpr (kPart + 1 < kSliceParts<kF>) add_part<kF, T, kPart + 1>(slice, scales, table, x, sums);
}

// Adds minima times the sums of inputs, for the parts of a block.
template <PanelFormat kF, int T>
[[gnu::always_inline]] inline void add_minima(const unsigned char* block, const int* x,
                                              __m256 (&sums)[T][kHalves]) {
  for (int64_t i = 0; i < kLayout<kF>.parts; ++i) {
    const int* inputs = x + (i / kSliceParts<kF> * kSliceWords<kF> + i % kSliceParts<kF>)*T;
#pragma GCC unroll 2
    for (int h = 0; h < kHalves; ++h) {
      const __m256 minimum = numbers<kF>(block + kLayout<kF>.minima + i * kLayout<kF>.scale_bytes, h);
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t)
        sums[t][h] = _mm256_fmadd_ps(minimum, _mm256_castsi256_ps(_mm256_set1_epi32(inputs[t])), sums[t][h]);
    }
  }
}

template <int T>
[[gnu::always_inline]] inline void clear(__m256 (&sums)[T][kHalves]) {
#pragma GCC unroll 4
  for (int t = 0; t < T; ++t) sums[t][0] = sums[t][1] = _mm256_setzero_ps();
}

// Adds `own` times the halves of a unit.
template <int T>
[[gnu::always_inline]] inline void add_unit(const unsigned char* units, const __m256 (&own)[T][kHalves],
                                            __m256 (&sums)[T][kHalves]) {
#pragma GCC unroll 2
  for (int h = 0; h < kHalves; ++h) {
    const __m256 unit = halves(units + 16 * h);
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) sums[t][h] = _mm256_fmadd_ps(own[t][h], unit, sums[t][h]);
  }
}

// Adds a block's products, in units of x.
template <PanelFormat kF, int T>
[[gnu::always_inline]] inline void add_block(const unsigned char* block, __m256i table, const int* x,
                                             __m256 (&sums)[T][kHalves]) {
  constexpr PanelCodes kAt = kLayout<kF>;
  constexpr int kSlices = static_cast<int>(kAt.columns / kSliceColumns);
  prefetch(block, kAt.bytes);
  const auto add_slices = [&](__m256(&to)[T][kHalves]) {
    for (int s = 0; s < kSlices; ++s)
      add_part<kF, T, 0>(block + s * kAt.slice, block + kAt.scales + s * kSliceParts<kF> * kAt.scale_bytes,
                         table, x + s * kSliceWords<kF> * T, to);
  };
  if constexpr (kShape<kF>.form != ScaleForm::kSuper) {
    add_slices(sums);
    if constexpr (kShape<kF>.minima) add_minima<kF, T>(block, x, sums);
  } else {
    __m256 own[T][kHalves];
    clear(own);
    add_slices(own);
    add_unit(block + kAt.units, own, sums);
    if constexpr (kShape<kF>.minima) {
      clear(own);
      add_minima<kF, T>(block, x, own);
      add_unit(block + kAt.units + 2 * kPanelRows, own, sums);
    }
  }
}

// T tokens × P panels: panels first, first + apart, ... as in the other panels. Their blocks take turns.
template <PanelFormat kF, int T, int P>
void run_tile(const PanelJob& job, int64_t first, int64_t apart) {
  const unsigned char* w = job.w + first * job.panel_bytes;
  const __m256i table = level_table<kF>(job.levels);
  const int* x = reinterpret_cast<const int*>(job.x);
  __m256 acc[P][T][kHalves];
  for (int p = 0; p < P; ++p) clear(acc[p]);
  for (int64_t k = 0; k < job.inputs; k += kFixedColumns) {
    const int* units = x;
    x += T;
    const int64_t width = job.inputs - k < kFixedColumns ? job.inputs - k : kFixedColumns;
    const int64_t blocks = width / kLayout<kF>.columns;
    constexpr int64_t kBlockWords = kLayout<kF>.columns / kSliceColumns * kSliceWords<kF> * T;
    for (int p = 0; p < P; ++p) {
      __m256 sums[T][kHalves];
      clear(sums);
      for (int64_t b = 0; b < blocks; ++b)
        add_block<kF, T>(w + p * apart * job.panel_bytes + b * kLayout<kF>.bytes, table, x + b * kBlockWords,
                         sums);
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) {
        const __m256 unit = _mm256_castsi256_ps(_mm256_set1_epi32(units[t]));
        acc[p][t][0] = _mm256_fmadd_ps(sums[t][0], unit, acc[p][t][0]);
        acc[p][t][1] = _mm256_fmadd_ps(sums[t][1], unit, acc[p][t][1]);
      }
    }
    w += blocks * kLayout<kF>.bytes;
    x += blocks * kBlockWords;
  }
  for (int p = 0; p < P; ++p) {
    const int64_t panel = first + p * apart;
    const __m256 low = _mm256_loadu_ps(job.scales + panel * kPanelRows);
    const __m256 high = _mm256_loadu_ps(job.scales + panel * kPanelRows + 8);
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t)
      store16(job.y + t * job.y_stride + panel * kPanelRows, job.columns - panel * kPanelRows,
              _mm256_mul_ps(acc[p][t][0], low), _mm256_mul_ps(acc[p][t][1], high));
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
  static constexpr void (*kTable[kMaxTokens])(const PanelJob&) = {all_panels<kF, 1, 4>, all_panels<kF, 2, 2>,
                                                                  all_panels<kF, 3, 2>, all_panels<kF, 4, 2>};
  kTable[job.tokens - 1](job);
}

// Returns the power of two of which the largest of `columns` values is less than 2^15; NaN if a value is.
inline float unit_of(const float* row, int64_t columns) {
  uint32_t largest = 0;  // bits of a magnitude: of floats without sign the larger has the larger bits
  for (int64_t k = 0; k < columns; ++k) {
    const uint32_t bits = reinterpret_cast<const uint32_t*>(row)[k] & 0x7fffffffu;
    largest = bits > largest ? bits : largest;
  }
  if (largest > 0x7f800000u) return __builtin_nanf("");
  union {
    uint32_t bits;
    float value;
  } power = {largest & 0x7f800000u};
  const float unit = power.value * 0x1p-14f;
  return unit > 0x1p-110f ? unit : 0x1p-110f;
}

// Packs the words of kSliceWords for each slice of each kFixedColumns columns, behind the units of the
// tokens. A word is two numbers of 16 bits.
template <PanelFormat kF>
void pack_x(const float* x, int64_t stride, int64_t tokens, int64_t known, int64_t columns, float* out) {
  constexpr int kParts = kSliceParts<kF>;
  for (int64_t first = 0; first < columns; first += kFixedColumns) {
    const int64_t width = columns - first < kFixedColumns ? columns - first : kFixedColumns;
    const int64_t left = known - first < 0 ? 0 : known - first < width ? known - first : width;
    for (int64_t t = 0; t < tokens; ++t) {
      const float* row = x + t * stride + first;
      float values[kFixedColumns] = {};
      for (int64_t k = 0; k < left; ++k) values[k] = row[k];
      const float unit = unit_of(values, width);
      const __m256 inverse = _mm256_set1_ps(1.0f / unit);
      out[t] = unit;
      float* slice = out + tokens + t;
      for (int64_t k = 0; k < width; k += kSliceColumns, slice += kSliceWords<kF> * tokens) {
        int numbers[kSliceColumns];
        for (int64_t i = 0; i < kSliceColumns; i += 8) {
          const __m256i number = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(values + k + i), inverse));
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(numbers + i),
                              _mm256_min_epi32(number, _mm256_set1_epi32(32767)));
        }
        int totals[2] = {0, 0};
        for (int64_t i = 0; i < kSliceColumns; ++i) totals[i * kParts / kSliceColumns] += numbers[i];
        for (int64_t part = 0; part < kParts; ++part) slice[part * tokens] = static_cast<float>(totals[part]);
        int* step = reinterpret_cast<int*>(slice) + kParts * tokens;
        for (int64_t i = 0; i < kSliceColumns; i += 4, step += 2 * tokens) {
          step[0] = (numbers[i] & 0xffff) | static_cast<int>(static_cast<uint32_t>(numbers[i + 2]) << 16);
          step[tokens] =
              (numbers[i + 1] & 0xffff) | static_cast<int>(static_cast<uint32_t>(numbers[i + 3]) << 16);
        }
      }
    }
    out += (1 + width / kSliceColumns * kSliceWords<kF>)*tokens;
  }
}

// Writes steps kStep to the last of eight lanes of a slice as f32, a column a step.
template <PanelFormat kF, int kStep>
inline void widen_steps(const unsigned char* slice, __m256i table, const __m256* scales, const __m256* minima,
                        float* out) {
  constexpr int kPart = kStep * kSliceParts<kF> / kSliceSteps;
  const __m256i levels = levels_at<kF, kStep>(slice, table);
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const __m256i level = _mm256_srai_epi32(_mm256_slli_epi32(levels, 24 - 8 * j), 24);
    _mm256_storeu_ps(out + (4 * kStep + j) * kPanelRows,
                     _mm256_fmadd_ps(_mm256_cvtepi32_ps(level), scales[kPart], minima[kPart]));
  }
  if constexpr (kStep + 1 < kSliceSteps) widen_steps<kF, kStep + 1>(slice, table, scales, minima, out);
}

template <PanelFormat kF>
void widen(const unsigned char* panel, int64_t slice, const unsigned char* levels, unsigned char* out) {
  constexpr PanelCodes kAt = kLayout<kF>;
  constexpr bool kSuper = kShape<kF>.form == ScaleForm::kSuper;
  constexpr int64_t kSlices = kAt.columns / kSliceColumns;
  const __m256i table = level_table<kF>(levels);
  const unsigned char* block = panel + slice / kSlices * kAt.bytes;
  const int64_t s = slice % kSlices;
  for (int h = 0; h < kHalves; ++h) {
    __m256 scales[kSliceParts<kF>];
    __m256 minima[kSliceParts<kF>];
    for (int64_t i = 0; i < kSliceParts<kF>; ++i) {
      const int64_t at = (s * kSliceParts<kF> + i) * kAt.scale_bytes;
      scales[i] = numbers<kF>(block + kAt.scales + at, h);
      if (kSuper) scales[i] = _mm256_mul_ps(scales[i], halves(block + kAt.units + 16 * h));
      minima[i] = _mm256_setzero_ps();
      if (!kShape<kF>.minima) continue;
      minima[i] = numbers<kF>(block + kAt.minima + at, h);
      if (kSuper) minima[i] = _mm256_mul_ps(minima[i], halves(block + kAt.units + 2 * kPanelRows + 16 * h));
    }
    widen_steps<kF, 0>(block + s * kAt.slice + 32 * h, table, scales, minima,
                       reinterpret_cast<float*>(out) + 8 * h);
  }
}

template <PanelFormat kF>
constexpr PanelKernels kernels_of() {
  return {
      .format = kF,
      .max_tokens = kMaxTokens,
      .gemv_tokens = kMaxTokens,
      .gemm_panels = 1,
      .gemm_columns = kL1Columns,
      .run = run<kF>,
      .pack = nullptr,
      .wide_tokens = kMaxTokens + 1,
      .wide = &kPanelAvx2F32,
      .widen = widen<kF>,
      .pack_x = pack_x<kF>,
  };
}

}  // namespace

const PanelKernels kPanelAvx2Codes[kCodeFormats] = {
    kernels_of<PanelFormat::kHalf4>(),     kernels_of<PanelFormat::kHalf4Min>(),
    kernels_of<PanelFormat::kHalf5>(),     kernels_of<PanelFormat::kHalf5Min>(),
    kernels_of<PanelFormat::kHalf8>(),     kernels_of<PanelFormat::kSuper2Min>(),
    kernels_of<PanelFormat::kSuper3>(),    kernels_of<PanelFormat::kSuper4>(),
    kernels_of<PanelFormat::kSuper4Min>(), kernels_of<PanelFormat::kSuper5Min>(),
    kernels_of<PanelFormat::kSuper6>(),    kernels_of<PanelFormat::kRow3>(),
    kernels_of<PanelFormat::kRow4>(),
};

}  // namespace pare
