// Register-tiled products over packed panels with AVX2 and FMA.
#include <immintrin.h>

#include "kernels/cpu/avx2/lanes.h"
#include "kernels/cpu/panel.h"

namespace pare {
namespace {

constexpr int kMaxTokens = 6;     // 6 × 2 accumulators of 8 lanes, 2 weight vectors, 1 broadcast
constexpr int kStreamTokens = 4;  // up to here the weights come from memory and are fetched ahead
constexpr int64_t kPrefetchBytes = 32768;

// Columns of a step.
template <PanelFormat kFormat>
constexpr int kColumns = kFormat == PanelFormat::kF32    ? 1
                         : kFormat == PanelFormat::kBF16 ? 2
                                                         : 4;

// T tokens × P panels in registers over all steps of the job: panels first, first + apart, ... P streams that
// are far from each other use more of the memory's bandwidth than neighbours would.
template <PanelFormat kFormat, int T, int P>
void tile(const PanelJob& job, int64_t first, int64_t apart) {
  const unsigned char* w = job.w + first * job.panel_bytes;
  const int64_t w_apart = apart * job.panel_bytes;
  float* y = job.y + first * kPanelRows;
  const int64_t y_apart = apart * kPanelRows;
  const int64_t columns = job.columns - first * kPanelRows;
  __m256 acc[T][2 * P];
#pragma GCC unroll 8
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const Sixteen old = load16(job.accumulate, y + t * job.y_stride + y_apart * p, columns - y_apart * p);
      acc[t][2 * p] = old.low;
      acc[t][2 * p + 1] = old.high;
    }
  const float* x = job.x;
  for (int64_t s = 0; s < job.inputs / kColumns<kFormat>; ++s, w += kStepBytes) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const unsigned char* step = w + p * w_apart;
      if (T <= kStreamTokens) _mm_prefetch(reinterpret_cast<const char*>(step + kPrefetchBytes), _MM_HINT_T1);
      const __m256i raw0 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(step));
      const __m256i raw1 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(step + 32));
#pragma GCC unroll 4
      for (int j = 0; j < kColumns<kFormat>; ++j) {
        const __m256 v0 = lane_value<kFormat>(raw0, j);
        const __m256 v1 = lane_value<kFormat>(raw1, j);
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t) {
          const __m256 b = _mm256_broadcast_ss(x + j * T + t);
          acc[t][2 * p] = _mm256_fmadd_ps(v0, b, acc[t][2 * p]);
          acc[t][2 * p + 1] = _mm256_fmadd_ps(v1, b, acc[t][2 * p + 1]);
        }
      }
    }
    x += kColumns<kFormat> * T;
  }
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p) {
    const Sixteen scales = scales_of<kFormat>(job, first + apart * p);
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t)
      store16(y + t * job.y_stride + y_apart * p, columns - y_apart * p,
              _mm256_mul_ps(acc[t][2 * p], scales.low), _mm256_mul_ps(acc[t][2 * p + 1], scales.high));
  }
}

template <PanelFormat kFormat, int T, int P>
void all_panels(const PanelJob& job) {
  const int64_t apart = job.panels / P;
  for (int64_t panel = 0; panel < apart; ++panel) tile<kFormat, T, P>(job, panel, apart);
  for (int64_t panel = apart * P; panel < job.panels; ++panel) tile<kFormat, T, 1>(job, panel, 0);
}

template <PanelFormat kF>
void run(const PanelJob& job) {
  static constexpr void (*kTable[kMaxTokens])(const PanelJob&) = {all_panels<kF, 1, 4>, all_panels<kF, 2, 2>,
                                                                  all_panels<kF, 3, 2>, all_panels<kF, 4, 1>,
                                                                  all_panels<kF, 5, 1>, all_panels<kF, 6, 1>};
  kTable[job.tokens - 1](job);
}

// Value k of lane r lies at 4 bytes · r + k % (columns a step) of step k / (columns a step).
void pack_f32(float* rows, int64_t columns, unsigned char* panel) {
  float* out = reinterpret_cast<float*>(panel);
  for (int64_t k = 0; k < columns; ++k)
    for (int64_t r = 0; r < kPanelRows; ++r) out[k * kPanelRows + r] = rows[r * columns + k];
}

// Rounds to nearest even; infinities and NaN do not occur in weights.
void pack_bf16(float* rows, int64_t columns, unsigned char* panel) {
  uint32_t* bits = reinterpret_cast<uint32_t*>(rows);
  for (int64_t i = 0; i < kPanelRows * columns; ++i)
    bits[i] = (bits[i] + 0x7fffu + (bits[i] >> 16 & 1)) >> 16;
  uint32_t* out = reinterpret_cast<uint32_t*>(panel);
  for (int64_t s = 0; s < columns / 2; ++s)
    for (int64_t r = 0; r < kPanelRows; ++r) {
      const uint32_t* pair = bits + r * columns + 2 * s;
      out[s * kPanelRows + r] = pair[0] | pair[1] << 16;
    }
}

void pack_int8(float* rows, int64_t columns, unsigned char* panel) {
  signed char* out = reinterpret_cast<signed char*>(panel);
  for (int64_t s = 0; s < columns / 4; ++s)
    for (int64_t r = 0; r < kPanelRows; ++r)
      for (int64_t j = 0; j < 4; ++j)
        out[s * kStepBytes + 4 * r + j] = static_cast<signed char>(rows[r * columns + 4 * s + j]);
}

void widen_int8(const unsigned char* panel, int64_t slice, const unsigned char* /*levels*/,
                unsigned char* out_bytes) {
  const unsigned char* step = panel + slice * kTileBytes / 2;
  float* out = reinterpret_cast<float*>(out_bytes);
  const __m256 unit = _mm256_set1_ps(1.0f / kUnit<PanelFormat::kInt8>);
  for (int64_t s = 0; s < kSliceColumns / 4; ++s, step += kStepBytes)
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const __m256i raw = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(step + 32 * h));
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j)
        _mm256_storeu_ps(out + (4 * s + j) * kPanelRows + 8 * h,
                         _mm256_mul_ps(lane_value<PanelFormat::kInt8>(raw, j), unit));
    }
}

}  // namespace

const PanelKernels kPanelAvx2F32 = {
    .format = PanelFormat::kF32,
    .max_tokens = kMaxTokens,
    .gemv_tokens = kStreamTokens,
    .gemm_panels = 1,
    .gemm_columns = kL1Columns,
    .run = run<PanelFormat::kF32>,
    .pack = pack_f32,
};
const PanelKernels kPanelAvx2Bf16 = {
    .format = PanelFormat::kBF16,
    .max_tokens = kMaxTokens,
    .gemv_tokens = kStreamTokens,
    .gemm_panels = 1,
    .gemm_columns = kL1Columns,
    .run = run<PanelFormat::kBF16>,
    .pack = pack_bf16,
};
const PanelKernels kPanelAvx2Int8 = {
    .format = PanelFormat::kInt8,
    .max_tokens = kMaxTokens,
    .gemv_tokens = kStreamTokens,
    .gemm_panels = 1,
    .gemm_columns = kL1Columns,
    .run = run<PanelFormat::kInt8>,
    .pack = pack_int8,
    .wide_tokens = 2 * kMaxTokens + 1,
    .wide = &kPanelAvx2F32,
    .widen = widen_int8,
};

}  // namespace pare
