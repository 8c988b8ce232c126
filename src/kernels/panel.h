// The packed layout that all CPU linears share, and the kernels over it as plain function pointers.
// Plain structs only: included by files compiled for different instruction sets.
//
// Weights (out, in) are cut into panels of 16 output rows. A panel is a sequence of 64-byte steps, each with
// 16 lanes of 4 bytes, one lane a row: f32 holds one column a step, bf16 two neighbouring columns (the lower
// one in the low half). A bf16 panel is padded with zeros to whole 1 KB tiles of 16 steps (32 columns), which
// is the B operand of the AMX tile product, so one packed copy serves decode and prefill.
#pragma once

#include <stdint.h>

namespace pare {

inline constexpr int64_t kPanelRows = 16;
inline constexpr int64_t kStepBytes = 64;

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
  int64_t columns;  // valid outputs: panels * 16, fewer when the last panel is ragged
  bool accumulate;  // add to y instead of overwriting it
};

// Sums run over k in order, one f32 accumulator per output, so a token's result does not depend on the tile
// it lands in.
struct PanelKernels {
  int64_t max_tokens;   // largest token tile
  int64_t gemv_tokens;  // up to this many tokens one pass over the weights, bound by memory, is best
  int64_t gemm_panels;  // panels of one register tile at max_tokens
  void (*run)(const PanelJob& job);
};

extern const PanelKernels kPanelAvx2F32;
extern const PanelKernels kPanelAvx2Bf16;
extern const PanelKernels kPanelAvx512F32;
extern const PanelKernels kPanelAvx512Bf16;

// Token tiles of the AMX product: 16 tokens × 32 columns of bf16, 1 KB each.
struct AmxJob {
  const unsigned char* w;  // first tile of the first panel
  int64_t panel_bytes;
  int64_t panels;
  int64_t k_tiles;         // tiles in a panel
  const unsigned char* x;  // packed by amx_pack_tokens
  int64_t tokens;
  float* y;
  int64_t y_stride;
  int64_t columns;
  float* scratch;  // amx_scratch_floats() floats, 64-byte aligned
};

struct AmxKernels {
  // Tokens (tokens, in) to bf16 tiles; `first`..`last` are 16-token tiles. Padding is zero.
  void (*pack_tokens)(const float* x, int64_t x_stride, int64_t tokens, int64_t in, int64_t first,
                      int64_t last, unsigned char* packed);
  int64_t (*scratch_floats)(int64_t tokens, int64_t panels);
  void (*run)(const AmxJob& job);
};
extern const AmxKernels kAmxBf16;

}  // namespace pare
