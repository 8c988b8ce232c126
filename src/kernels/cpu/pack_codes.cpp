#include "kernels/cpu/pack_codes.h"

#include <algorithm>
#include <cstring>

#include "base/bf16.h"

namespace pare {
namespace {

// Writes the bits [shift, shift + bits) of the codes of a slice as a plane. A lane's codes come from `codes`.
void pack_plane(const uint8_t* codes, int64_t lane, int shift, int bits, unsigned char* plane) {
  const int per_byte = 8 / bits;
  const int64_t step_columns = 4 * per_byte;
  const unsigned mask = (1u << bits) - 1u;
  for (int64_t k = 0; k < kSliceColumns; k += step_columns, plane += kStepBytes)
    for (int64_t j = 0; j < 4; ++j) {
      unsigned byte = 0;
      for (int i = 0; i < per_byte; ++i)
        byte |= (static_cast<unsigned>(codes[k + 4 * i + j]) >> shift & mask) << (bits * i);
      plane[4 * lane + j] = static_cast<unsigned char>(byte);
    }
}

void store_half(float value, int64_t lane, unsigned char* to) {
  const f16 half = to_f16(value);
  std::memcpy(to + 2 * lane, &half, sizeof(half));
}

// Scales or minima of a row: whole numbers, and the factors of some of them.
struct Scales {
  const std::vector<int16_t>& numbers;
  const std::vector<float>& factors;
};

// Stores number i of a row as its form says. Parts behind the last are zeros.
void store_part(ScaleForm form, const Scales& scales, int64_t i, int64_t lane, unsigned char* to) {
  if (i >= static_cast<int64_t>(scales.numbers.size())) return;
  if (form == ScaleForm::kHalf)
    store_half(scales.factors[static_cast<size_t>(i)], lane, to);
  else
    to[lane] = static_cast<unsigned char>(scales.numbers[static_cast<size_t>(i)]);
}

}  // namespace

void pack_codes(PanelFormat format, std::span<const RowCodes> rows, int64_t columns, unsigned char* panel) {
  const CodeShape shape = panel_block(format).codes;
  const PanelCodes layout = panel_codes(shape);
  std::memset(panel, 0, static_cast<size_t>(columns / layout.columns * layout.bytes));
  for (int64_t lane = 0; lane < static_cast<int64_t>(rows.size()); ++lane) {
    const RowCodes& row = rows[static_cast<size_t>(lane)];
    const auto known = static_cast<int64_t>(row.codes.size());
    const Scales scales{row.scales, row.factors};
    const Scales minima{row.minima, row.minimum_factors};
    unsigned char* block = panel;
    for (int64_t k = 0; k < columns; k += layout.columns, block += layout.bytes) {
      for (int64_t c = 0; c < layout.columns && k + c < known; c += kSliceColumns) {
        uint8_t codes[kSliceColumns] = {};
        std::copy_n(row.codes.data() + k + c, std::min(kSliceColumns, known - k - c), codes);
        unsigned char* slice = block + c / kSliceColumns * layout.slice;
        pack_plane(codes, lane, 0, layout.low, slice);
        if (layout.high != 0)
          pack_plane(codes, lane, layout.low, layout.high,
                     slice + layout.low * kPanelRows * kSliceColumns / 8);
      }
      for (int64_t i = 0; i < layout.parts; ++i) {
        const int64_t part = k / shape.part + i;
        store_part(shape.form, scales, part, lane, block + layout.scales + i * layout.scale_bytes);
        if (shape.minima)
          store_part(shape.form, minima, part, lane, block + layout.minima + i * layout.scale_bytes);
      }
      if (shape.form != ScaleForm::kSuper) continue;
      const auto unit = static_cast<size_t>(k / kSuperColumns);
      store_half(row.factors[unit], lane, block + layout.units);
      if (shape.minima) store_half(row.minimum_factors[unit], lane, block + layout.units + 2 * kPanelRows);
    }
  }
}

}  // namespace pare
