// The packed layout that all CPU linears share, and the kernels over it as plain function pointers.
// Plain structs only: included by files compiled for different instruction sets.
//
// Weights (out, in) are cut into panels of 16 output rows. A panel is a sequence of 64-byte steps, each with
// 16 lanes of 4 bytes, one lane a row, which holds neighbouring columns, the lowest in the lowest bits: one
// column of f32, two of bf16 or four of int8. bf16 and int8 panels are padded with zeros to whole 1 KB tiles
// of 16 steps: the B operand of an AMX tile product, so one packed copy serves decode and prefill.
#pragma once

#include <stdint.h>

namespace pare {

inline constexpr int64_t kPanelRows = 16;
inline constexpr int64_t kStepBytes = 64;
inline constexpr int64_t kTileBytes = 1024;

// What a panel holds; the value is the number of columns in a step.
enum class PanelFormat : int64_t { kF32 = 1, kBF16 = 2, kInt8 = 4 };
constexpr int64_t columns_per_step(PanelFormat format) { return static_cast<int64_t>(format); }
// Panels are padded to a multiple of this.
constexpr int64_t padded_to(PanelFormat format) {
  return format == PanelFormat::kF32 ? 1 : kTileBytes / kStepBytes * columns_per_step(format);
}

// y[t, c] (+)= Σ_k x[k, t] · w[c, k] for t < tokens, c < columns, over `steps` steps of `panels` panels.
struct PanelJob {
  const unsigned char* w;  // first step of the first panel
  int64_t panel_bytes;     // from a panel to the next
  int64_t panels;          // >= 1
  int64_t steps;
  const float* x;  // (columns of w, tokens): the tokens of one column side by side
  int64_t tokens;  // 1..PanelKernels::max_tokens
  float* y;
  int64_t y_stride;
  int64_t columns;      // valid outputs: panels * 16, fewer when the last panel is ragged
  bool accumulate;      // add to y instead of overwriting it
  const float* scales;  // one an output, multiplied into the finished sums; null: none
};

// Sums run over k in order, one f32 accumulator per output, so a token's result does not depend on the tile
// it lands in.
struct PanelKernels {
  PanelFormat format;
  int64_t max_tokens;   // largest token tile
  int64_t gemv_tokens;  // up to this many tokens one pass over the weights, bound by memory, is best
  int64_t gemm_panels;  // panels of one register tile at max_tokens
  void (*run)(const PanelJob& job);
  // 16 rows (16, columns) to a panel; columns is a multiple of padded_to(format). int8 takes whole numbers of
  // -127..127. May spoil the rows.
  void (*pack)(float* rows, int64_t columns, unsigned char* panel);
};

extern const PanelKernels kPanelAvx2F32;
extern const PanelKernels kPanelAvx2Bf16;
extern const PanelKernels kPanelAvx2Int8;
extern const PanelKernels kPanelAvx512F32;
extern const PanelKernels kPanelAvx512Bf16;
extern const PanelKernels kPanelAvx512Int8;

// Token tiles of the AMX product: 16 tokens × 32 columns of bf16, 1 KB each.
struct AmxJob {
  PanelFormat format;      // bf16 or int8
  const unsigned char* w;  // first tile of the first panel
  int64_t panel_bytes;
  int64_t panels;
  int64_t k_tiles;         // 32-column tiles of the tokens and of a panel
  const unsigned char* x;  // packed by amx_pack_tokens
  int64_t tokens;
  float* y;
  int64_t y_stride;
  int64_t columns;
  const float* scales;     // one an output, multiplied into the sums; null: none
  unsigned char* scratch;  // scratch_bytes(), 64-byte aligned
};

struct AmxKernels {
  // Tokens (tokens, in) to bf16 tiles, k_tiles of them a row; `first`..`last` are 16-token tiles. Padding is
  // zero.
  void (*pack_tokens)(const float* x, int64_t x_stride, int64_t tokens, int64_t in, int64_t k_tiles,
                      int64_t first, int64_t last, unsigned char* packed);
  int64_t (*scratch_bytes)(int64_t tokens, int64_t panels);
  void (*run)(const AmxJob& job);
};
extern const AmxKernels kAmx;

}  // namespace pare
