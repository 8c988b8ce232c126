#include "tensor/code_rows.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace pare {
namespace {

constexpr int32_t kGroupPart = 32;  // columns of a part of int4 and int8 codes
constexpr int kMiddleOf8 = 128;     // code of 8 bits that means zero
constexpr int kMiddleOf4 = 8;

ScaleForm form_of(const CodeLayout& layout) {
  if (layout.superblock == 0) return ScaleForm::kRow;
  return layout.superblock == layout.block ? ScaleForm::kHalf : ScaleForm::kSuper;
}

// Makes factors fit the range of halves: divides them by a power of two, which is returned.
float normalise(RowCodes& row) {
  float largest = 0.0f;
  for (const float factor : row.factors) largest = std::max(largest, std::fabs(factor));
  if (largest == 0.0f) return 1.0f;
  const int exponent = std::ilogb(largest);
  for (float& factor : row.factors) factor = std::ldexp(factor, -exponent);
  for (float& factor : row.minimum_factors) factor = std::ldexp(factor, -exponent);
  return std::ldexp(1.0f, exponent);
}

float take_blocks(const CodeLayout& layout, const Weight& weight, int64_t r, RowCodes& row) {
  const Encoding encoding = weight.format.encoding;
  take_row_codes(encoding, weight.data + r * row_bytes(encoding, weight.cols), weight.cols, row);
  if (layout.superblock == 0) return std::exchange(row.factors[0], 1.0f);
  return encoding == Encoding::kMXFP4 ? normalise(row) : 1.0f;
}

// Groups of columns become parts of kGroupPart columns.
float take_groups(const Weight& weight, int64_t r, RowCodes& row) {
  // With scales of one and no zero points a row decodes to its levels.
  Weight one = rows_of(weight, r, 1);
  const std::vector<float> ones(static_cast<size_t>(weight.groups()), 1.0f);
  one.scales = reinterpret_cast<const std::byte*>(ones.data());
  one.zero_points = nullptr;
  one.format.zero_points = false;
  one.format.scale_type = Encoding::kF32;
  std::vector<float> levels(static_cast<size_t>(weight.cols));
  decode_row(one, 0, levels.data());
  const int middle = weight.format.encoding == Encoding::kInt8 ? kMiddleOf8 : kMiddleOf4;
  row.codes.resize(levels.size());
  for (size_t k = 0; k < levels.size(); ++k)
    row.codes[k] = static_cast<uint8_t>(static_cast<int>(levels[k]) + middle);
  row.factors.clear();
  row.minimum_factors.clear();
  const int64_t groups = weight.groups();
  const int64_t group = weight.format.group == 0 ? weight.cols : weight.format.group;
  for (int64_t k = 0; k < weight.cols; k += kGroupPart) {
    const int64_t i = r * groups + k / group;
    const float scale = weight.scale(i);
    row.factors.push_back(scale);
    if (weight.zero_points != nullptr)
      row.minimum_factors.push_back(scale *
                                    static_cast<float>(middle - static_cast<int32_t>(weight.zero_points[i])));
  }
  row.scales.assign(row.factors.size(), 1);
  row.minima.assign(row.minimum_factors.size(), 1);
  return normalise(row);
}

}  // namespace

std::optional<CodeFormat> code_format(const Weight& weight) {
  const WeightFormat& format = weight.format;
  if (const CodeLayout* layout = code_layout(format.encoding)) {
    CodeFormat result{{layout->bits, layout->block, form_of(*layout), layout->largest_minimum > 0}};
    for (size_t c = 0; layout->bits < 8 && c < result.levels.size(); ++c)
      result.levels[c] = layout->levels[c % (size_t{1} << layout->bits)];
    return result;
  }
  if (!is_code(format.encoding) || format.group % kGroupPart != 0) return std::nullopt;
  if (format.zero_points && !format.pattern.dense()) return std::nullopt;
  if (format.encoding == Encoding::kInt8) {
    if (format.group == 0) return std::nullopt;
    return CodeFormat{{8, kGroupPart, ScaleForm::kHalf, false}};
  }
  CodeFormat result{{4, kGroupPart, ScaleForm::kHalf, format.zero_points}};
  for (size_t c = 0; c < result.levels.size(); ++c)
    result.levels[c] = static_cast<int8_t>(static_cast<int>(c % 16) - kMiddleOf4);
  return result;
}

float take_codes(std::span<const Weight> stack, int64_t r, RowCodes& row) {
  const Weight& weight = weight_of_row(stack, r);
  if (const CodeLayout* layout = code_layout(weight.format.encoding))
    return take_blocks(*layout, weight, r, row);
  return take_groups(weight, r, row);
}

}  // namespace pare
