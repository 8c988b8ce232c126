// The packed layout that all CPU linears share, and the kernels over it as plain function pointers.
// Plain structs only: included by files compiled for different instruction sets.
//
// Weights (out, in) are cut into panels of 16 output rows. A panel is a sequence of 64-byte steps, each with
// 16 lanes of 4 bytes, one lane a row, which holds values of neighbouring columns, the lowest in the lowest
// bits: one column of f32, two of bf16 or four of int8. bf16 and int8 panels are padded with zeros to whole
// 1 KB tiles of 16 steps: the B operand of an AMX tile product, so one packed copy serves decode and prefill.
//
// The 2:4 formats keep two values of every aligned group of four columns, in blocks of eight groups: a step
// of places, then steps of values. A lane of the places has four bits a group, the first group in the lowest:
// the column of its lower kept value, then that of its higher one. A lane of values holds the two of a group
// (bf16) or the four of two groups (int8). 576 and 320 bytes for the 1024 and 512 of the dense columns.
#pragma once

#include <stdint.h>

namespace pare {

inline constexpr int64_t kPanelRows = 16;
inline constexpr int64_t kStepBytes = 64;
inline constexpr int64_t kTileBytes = 1024;
inline constexpr int64_t kGroup = 4;  // columns of a group of a 2:4 format

enum class PanelFormat { kF32, kBF16, kInt8, kBF16Of4, kInt8Of4 };

// Blocks that make up a panel of a format.
struct PanelBlock {
  PanelFormat format;
  int64_t columns;   // columns of a block
  int64_t bytes;     // bytes of a block
  int64_t together;  // neighbouring columns of x that lie side by side for one token
  bool scales;       // values are whole numbers of -128..127 with a scale for each output
  bool rounds_x;     // x is rounded to bf16
};

// Formats in the order of the enumeration.
inline constexpr PanelBlock kPanelBlocks[] = {
    {PanelFormat::kF32, 1, kStepBytes, 1, false, false},
    {PanelFormat::kBF16, 32, kTileBytes, 1, false, true},
    {PanelFormat::kInt8, 64, kTileBytes, 1, true, true},
    {PanelFormat::kBF16Of4, 32, (1 + 8) * kStepBytes, kGroup, false, true},
    {PanelFormat::kInt8Of4, 32, (1 + 4) * kStepBytes, kGroup, true, true},
};

constexpr PanelBlock panel_block(PanelFormat format) { return kPanelBlocks[static_cast<int>(format)]; }
constexpr bool is_int8(PanelFormat format) { return panel_block(format).scales; }

constexpr bool panel_blocks_in_order() {
  int next = 0;
  for (const PanelBlock& block : kPanelBlocks)
    if (block.format != static_cast<PanelFormat>(next++)) return false;
  return true;
}
static_assert(panel_blocks_in_order());

// y[t, c] (+)= Σ_k x[k, t] · w[c, k] for t < tokens, c < columns, k < inputs.
struct PanelJob {
  const unsigned char* w;  // first block of the first panel
  int64_t panel_bytes;     // bytes from a panel to the next
  int64_t panels;          // >= 1
  int64_t inputs;          // columns of w: whole blocks
  // (inputs / together, tokens, together) with together = panel_block(format).together, or as pack_x writes
  // it
  const float* x;
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
  // Packs 16 rows (16, columns) to a panel of whole blocks. int8 takes whole numbers of -128..127, 2:4 takes
  // at most two values other than zero a group. May overwrite the rows.
  void (*pack)(float* rows, int64_t columns, unsigned char* panel);
  // Conversion for many tokens, where converting values takes long: a panel's first columns, whole blocks,
  // become those of a panel of `wide`'s once, which `wide` runs. Null: nothing is gained.
  int64_t wide_tokens = 0;  // tokens from which it pays
  const PanelKernels* wide = nullptr;
  void (*widen)(const unsigned char* panel, int64_t columns, unsigned char* out) = nullptr;
  // Makes PanelJob::x where these kernels take x in a form of their own: at most `columns` floats a token,
  // of x (tokens, known) in f32, whose columns from `known` on are zeros. Null: x is f32, as the format says.
  void (*pack_x)(const float* x, int64_t stride, int64_t tokens, int64_t known, int64_t columns,
                 float* out) = nullptr;
};

extern const PanelKernels kPanelAvx2F32;
extern const PanelKernels kPanelAvx2Bf16;
extern const PanelKernels kPanelAvx2Int8;
extern const PanelKernels kPanelAvx2Bf16Of4;
extern const PanelKernels kPanelAvx2Int8Of4;
extern const PanelKernels kPanelAvx512F32;
extern const PanelKernels kPanelAvx512Bf16;
extern const PanelKernels kPanelAvx512Int8;
extern const PanelKernels kPanelAvx512Bf16Of4;
extern const PanelKernels kPanelAvx512Int8Of4;

// PanelKernels::pack of the 2:4 formats, for any instruction set.
void pack_bf16_of4(float* rows, int64_t columns, unsigned char* panel);
void pack_int8_of4(float* rows, int64_t columns, unsigned char* panel);

// Token tiles of the AMX product: 16 tokens × 32 columns of bf16, 1 KB each.
struct AmxJob {
  PanelFormat format;      // any but f32
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
  int64_t stream_tokens;  // up to this many tokens, reading the weights from memory takes the time
  // Packs tokens (tokens, in) to bf16 tiles, k_tiles a row; `first`..`last` are 16-token tiles. Padding is
  // zero.
  void (*pack_tokens)(const float* x, int64_t x_stride, int64_t tokens, int64_t in, int64_t k_tiles,
                      int64_t first, int64_t last, unsigned char* packed);
  int64_t (*scratch_bytes)(int64_t tokens, int64_t panels);
  void (*run)(const AmxJob& job);
};
extern const AmxKernels kPanelAmx;

}  // namespace pare
