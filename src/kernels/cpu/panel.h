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
//
// The low-bit formats hold codes, and what scales them, in as many bits as a file has them. A block is one
// slice of codes after another, then scales, minima, and the halves of both (PanelCodes says where). A slice
// is 32 columns: a plane of the low bits of all codes (2, 4 or 8), then one of what they have above. A step
// of a plane of b bits has in byte j of a lane the codes of columns j, j + 4, j + 8, ... of its 32 / b, the
// first in the lowest bits. Scales and minima are numbers of 16 rows side by side.
#pragma once

#include <stdint.h>

#include "tensor/code_shape.h"

namespace pare {

inline constexpr int64_t kPanelRows = 16;
inline constexpr int64_t kStepBytes = 64;
inline constexpr int64_t kTileBytes = 1024;
inline constexpr int64_t kGroup = 4;  // columns of a group of a 2:4 format

enum class PanelFormat {
  kF32,
  kBF16,
  kInt8,
  kBF16Of4,
  kInt8Of4,
  kHalf4,
  kHalf4Min,
  kHalf5,
  kHalf5Min,
  kHalf8,
  kSuper2Min,
  kSuper3,
  kSuper4,
  kSuper4Min,
  kSuper5Min,
  kSuper6,
  kRow3,
  kRow4
};

inline constexpr int kLevelBias = 128;        // added to levels, so that bytes without sign hold them
inline constexpr int64_t kSliceColumns = 32;  // columns of a slice

// Where the parts of a block of codes are, in bytes.
struct PanelCodes {
  int low;              // bits of the low plane
  int high;             // bits of the high plane; 0: there is none
  int64_t columns;      // columns of a block
  int64_t slice;        // bytes of a slice
  int64_t parts;        // parts of a block
  int64_t scale_bytes;  // bytes of the scales, or minima, of a part
  int64_t scales;       // place of the scales
  int64_t minima;       // place of the minima
  int64_t units;        // place of the halves of kSuper: of the scales, then of the minima
  int64_t bytes;        // bytes of a block
};

constexpr PanelCodes panel_codes(const CodeShape& shape) {
  PanelCodes layout{};
  layout.low = shape.bits == 8 ? 8 : shape.bits >= 4 ? 4 : 2;
  layout.high = shape.bits - layout.low;
  layout.columns = shape.form == ScaleForm::kSuper ? kSuperColumns : 2 * kSliceColumns;
  layout.slice = shape.bits * kPanelRows * kSliceColumns / 8;
  layout.parts = layout.columns / shape.part;
  layout.scale_bytes = kPanelRows * (shape.form == ScaleForm::kHalf ? 2 : 1);
  layout.scales = layout.columns / kSliceColumns * layout.slice;
  layout.minima = layout.scales + layout.parts * layout.scale_bytes;
  layout.units = layout.minima + (shape.minima ? layout.parts * layout.scale_bytes : 0);
  layout.bytes =
      layout.units + (shape.form == ScaleForm::kSuper ? 2 * kPanelRows * (shape.minima ? 2 : 1) : 0);
  return layout;
}

// Blocks that make up a panel of a format.
struct PanelBlock {
  PanelFormat format;
  int64_t columns;   // columns of a block
  int64_t bytes;     // bytes of a block
  int64_t together;  // neighbouring columns of x that lie side by side for one token
  bool scales;       // sums are multiplied by a scale for each output
  bool rounds_x;     // x is rounded to bf16
  CodeShape codes;   // shape of low-bit codes; other values have none
};

constexpr PanelBlock codes_block(PanelFormat format, const CodeShape& codes) {
  const PanelCodes layout = panel_codes(codes);
  return {format, layout.columns, layout.bytes, 1, true, false, codes};
}

// Formats in the order of the enumeration.
inline constexpr PanelBlock kPanelBlocks[] = {
    {PanelFormat::kF32, 1, kStepBytes, 1, false, false, {}},
    {PanelFormat::kBF16, 32, kTileBytes, 1, false, true, {}},
    {PanelFormat::kInt8, 64, kTileBytes, 1, true, true, {}},
    {PanelFormat::kBF16Of4, 32, (1 + 8) * kStepBytes, kGroup, false, true, {}},
    {PanelFormat::kInt8Of4, 32, (1 + 4) * kStepBytes, kGroup, true, true, {}},
    codes_block(PanelFormat::kHalf4, {4, 32, ScaleForm::kHalf, false}),
    codes_block(PanelFormat::kHalf4Min, {4, 32, ScaleForm::kHalf, true}),
    codes_block(PanelFormat::kHalf5, {5, 32, ScaleForm::kHalf, false}),
    codes_block(PanelFormat::kHalf5Min, {5, 32, ScaleForm::kHalf, true}),
    codes_block(PanelFormat::kHalf8, {8, 32, ScaleForm::kHalf, false}),
    codes_block(PanelFormat::kSuper2Min, {2, 16, ScaleForm::kSuper, true}),
    codes_block(PanelFormat::kSuper3, {3, 16, ScaleForm::kSuper, false}),
    codes_block(PanelFormat::kSuper4, {4, 32, ScaleForm::kSuper, false}),
    codes_block(PanelFormat::kSuper4Min, {4, 32, ScaleForm::kSuper, true}),
    codes_block(PanelFormat::kSuper5Min, {5, 32, ScaleForm::kSuper, true}),
    codes_block(PanelFormat::kSuper6, {6, 16, ScaleForm::kSuper, false}),
    codes_block(PanelFormat::kRow3, {3, 32, ScaleForm::kRow, false}),
    codes_block(PanelFormat::kRow4, {4, 32, ScaleForm::kRow, false}),
};

constexpr PanelBlock panel_block(PanelFormat format) { return kPanelBlocks[static_cast<int>(format)]; }
constexpr bool is_int8(PanelFormat format) {
  return format == PanelFormat::kInt8 || format == PanelFormat::kInt8Of4;
}
constexpr bool has_codes(PanelFormat format) { return panel_block(format).codes.bits != 0; }

inline constexpr int kFirstCodes = static_cast<int>(PanelFormat::kHalf4);
inline constexpr int kCodeFormats = static_cast<int>(PanelFormat::kRow4) - kFirstCodes + 1;

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
  int64_t columns;              // valid outputs: panels * 16, fewer when the last panel is ragged
  bool accumulate;              // add to y instead of overwriting it
  const float* scales;          // one an output, multiplied into the finished sums; null: none
  const unsigned char* levels;  // low-bit formats: levels plus kLevelBias of codes, repeated to 64; else null
};

// Columns of x a pass of many tokens, so that the weights of a register tile stay in a cache. Each pass but
// the first reads the sums of the one before. AVX-512 reads weights from L2 as fast as it multiplies.
inline constexpr int64_t kL1Columns = 256;
inline constexpr int64_t kL2Columns = 2048;

// See PanelKernels::widen.
using WidenSlice = void (*)(const unsigned char* panel, int64_t slice, const unsigned char* levels,
                            unsigned char* out);

// Sums run over k in order, one f32 accumulator per output, so a token's result does not depend on the tile
// it lands in.
struct PanelKernels {
  PanelFormat format;
  int64_t max_tokens;    // largest token tile
  int64_t gemv_tokens;   // up to this many tokens one pass over the weights, bound by memory, is best
  int64_t gemm_panels;   // panels of one register tile at max_tokens
  int64_t gemm_columns;  // columns of x a pass of many tokens: kL1Columns or kL2Columns
  void (*run)(const PanelJob& job);
  // Set where values of bf16 are multiplied as they are, which takes less time than products of f32.
  bool multiplies_bf16 = false;
  // Packs 16 rows (16, columns) to a panel of whole blocks. int8 takes whole numbers of -128..127, 2:4 takes
  // at most two values other than zero a group. May overwrite the rows. Null for low-bit formats
  // (pack_codes).
  void (*pack)(float* rows, int64_t columns, unsigned char* panel);
  // Conversion for many tokens, where converting values takes long: `widen` makes the 32 columns from
  // 32 · `slice` on of a panel those of a panel of `wide`'s once, which `wide` runs. `levels` are those of
  // PanelJob. Null: nothing is gained.
  int64_t wide_tokens = 0;  // tokens from which it pays
  const PanelKernels* wide = nullptr;
  WidenSlice widen = nullptr;
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
// Kernels of all low-bit formats, in the order of the enumeration.
extern const PanelKernels kPanelAvx2Codes[kCodeFormats];
extern const PanelKernels kPanelAvx512Codes[kCodeFormats];

// PanelKernels::pack of the 2:4 formats, for any instruction set.
void pack_bf16_of4(float* rows, int64_t columns, unsigned char* panel);
void pack_int8_of4(float* rows, int64_t columns, unsigned char* panel);

// Token tiles of the AMX product: 16 tokens × 32 columns of bf16, 1 KB each.
struct AmxJob {
  const unsigned char* w;  // first panel: bf16, or what `widen` makes bf16 of
  int64_t panel_bytes;     // bytes from a panel to the next
  int64_t panels;
  int64_t k_tiles;         // 32-column tiles of the tokens and of a panel
  const unsigned char* x;  // packed by amx_pack_tokens
  int64_t tokens;
  float* y;
  int64_t y_stride;
  int64_t columns;
  const float* scales;          // one an output, multiplied into the sums; null: none
  WidenSlice widen;             // makes a tile of a panel; null: panels consist of tiles
  const unsigned char* levels;  // PanelJob::levels
  unsigned char* scratch;       // scratch_bytes(), 64-byte aligned
};

struct AmxKernels {
  int64_t stream_tokens;  // up to this many tokens, reading the weights from memory takes the time
  // Packs tokens (tokens, in) to bf16 tiles, k_tiles a row; `first`..`last` are 16-token tiles. Padding is
  // zero.
  void (*pack_tokens)(const float* x, int64_t x_stride, int64_t tokens, int64_t in, int64_t k_tiles,
                      int64_t first, int64_t last, unsigned char* packed);
  int64_t (*scratch_bytes)(int64_t tokens, int64_t panels, int64_t k_tiles);
  void (*run)(const AmxJob& job);
};
extern const AmxKernels kPanelAmx;

}  // namespace pare
