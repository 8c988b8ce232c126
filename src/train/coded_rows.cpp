#include "train/coded_rows.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/aligned_buffer.h"
#include "base/bf16.h"
#include "base/parallel.h"
#include "tensor/row_grid.h"

namespace pare {
namespace {

constexpr float kHalves = 256.0f;  // half levels from zero to beyond the last on either side
constexpr int64_t kRows = 8;       // rows of a piece of work

// Calls work(r) for every row, in parallel.
template <typename Work>
void for_each_of(int64_t rows, Work&& work) {
  parallel_for((rows + kRows - 1) / kRows, [&](int64_t piece) {
    for (int64_t r = piece * kRows; r < std::min(rows, (piece + 1) * kRows); ++r) work(r);
  });
}

}  // namespace

struct CodedRows::Row {
  RowCodes codes;
  std::vector<float> scales;  // (blocks), as stored
  std::vector<float> minima;  // (blocks)
};

bool CodedRows::can_train(const Weight& weight) {
  return weight.format.pattern.dense() && can_round_to(weight.format.encoding);
}

CodedRows::CodedRows(Weight start) : start_(std::move(start)), layout_(*code_layout(start_.format.encoding)) {
  PARE_CHECK(can_train(start_));
  uint8_t code = 0;
  const int32_t last = (1 << layout_.bits) - 1;
  for (int32_t halves = -static_cast<int32_t>(kHalves); halves <= static_cast<int32_t>(kHalves); ++halves) {
    // Levels are whole numbers: the middle of two is a whole number of halves.
    while (code < last && layout_.levels[code] + layout_.levels[code + 1] <= halves) ++code;
    nearest_.push_back(code);
  }
}

uint8_t CodedRows::nearest(float units) const {
  const float halves = std::clamp(std::floor(2.0f * units), -kHalves, kHalves);
  return nearest_[static_cast<size_t>(halves + kHalves)];
}

CodedRows::Row CodedRows::row_at(int64_t r, const float* log_scales) const {
  Row row;
  take_row_codes(start_.format.encoding, start_.data + r * row_bytes(start_.format.encoding, start_.cols),
                 start_.cols, row.codes);
  const int64_t blocks = scales();
  const int64_t together = layout_.superblock == 0 ? blocks : layout_.superblock / layout_.block;
  row.scales.resize(static_cast<size_t>(blocks));
  row.minima.resize(static_cast<size_t>(blocks), 0.0f);
  for (int64_t b = 0; b < blocks; ++b) {
    const auto i = static_cast<size_t>(b);
    float& factor = row.codes.factors[static_cast<size_t>(b / together)];
    int16_t& scale = row.codes.scales[i];
    const float change = std::exp(log_scales[b]);
    if (layout_.least_scale == layout_.largest_scale) {
      factor = to_f32(to_f16(factor * change));
    } else {
      // A scale keeps its sign, and one that is not zero stays so.
      const auto least = static_cast<float>(scale > 0 ? 1 : layout_.least_scale);
      const auto most = static_cast<float>(scale < 0 ? -1 : layout_.largest_scale);
      if (scale != 0)
        scale =
            static_cast<int16_t>(std::lround(std::clamp(static_cast<float>(scale) * change, least, most)));
    }
    row.scales[i] = factor * static_cast<float>(scale);
    if (!row.codes.minima.empty())
      row.minima[i] = row.codes.minimum_factors[static_cast<size_t>(b / together)] *
                      static_cast<float>(row.codes.minima[i]);
  }
  return row;
}

void CodedRows::begin(MatrixView<const float> origin, MatrixView<float> latent) const {
  const std::vector<float> zeros(static_cast<size_t>(scales()), 0.0f);
  const int32_t last = (1 << layout_.bits) - 1;
  for_each_of(start_.rows, [&](int64_t r) {
    const Row row = row_at(r, zeros.data());
    for (int64_t c = 0; c < start_.cols; ++c) {
      const auto b = static_cast<size_t>(c / layout_.block);
      const int32_t code = row.codes.codes[static_cast<size_t>(c)];
      const auto level = static_cast<float>(layout_.levels[code]);
      float units = level;
      if (origin.data != nullptr && row.scales[b] != 0.0f) {
        // The cell of a code ends in the middle between levels; beyond the last level it has no end.
        const float low = code > 0 ? (level + static_cast<float>(layout_.levels[code - 1])) / 2.0f : level;
        const float high =
            code < last ? (level + static_cast<float>(layout_.levels[code + 1])) / 2.0f : level;
        const float wanted = (origin(r, c) - row.minima[b]) / row.scales[b];
        units += (std::clamp(wanted, low, high) - level) / 2.0f;
      }
      latent(r, c) = row.minima[b] + row.scales[b] * units;
    }
  });
}

Weight CodedRows::rounded(MatrixView<const float> latent, MatrixView<const float> log_scales) const {
  const int64_t bytes = row_bytes(start_.format.encoding, start_.cols);
  auto owner = std::make_shared<AlignedBuffer<std::byte>>(static_cast<size_t>(start_.rows * bytes));
  Weight weight = start_;
  weight.data = owner->data();
  weight.mapped = false;
  std::byte* data = owner->data();
  for_each_of(start_.rows, [&](int64_t r) {
    Row row = row_at(r, log_scales.row(r));
    for (int64_t c = 0; c < start_.cols; ++c) {
      const auto b = static_cast<size_t>(c / layout_.block);
      if (row.scales[b] != 0.0f)
        row.codes.codes[static_cast<size_t>(c)] = nearest((latent(r, c) - row.minima[b]) / row.scales[b]);
    }
    std::fill_n(data + r * bytes, bytes, std::byte{0});
    put_row_codes(start_.format.encoding, row.codes, data + r * bytes);
  });
  weight.owner = std::move(owner);
  return weight;
}

void CodedRows::adjoint(MatrixView<const float> latent, MatrixView<const float> log_scales,
                        MatrixView<float> gradient, MatrixView<float> log_gradient) const {
  const auto lowest = static_cast<float>(layout_.levels[0]);
  const auto highest = static_cast<float>(layout_.levels[(1 << layout_.bits) - 1]);
  for_each_of(start_.rows, [&](int64_t r) {
    const Row row = row_at(r, log_scales.row(r));
    for (int64_t b = 0; b < scales(); ++b) {
      const float scale = row.scales[static_cast<size_t>(b)];
      const float minimum = row.minima[static_cast<size_t>(b)];
      if (scale == 0.0f) {
        std::fill_n(gradient.row(r) + b * layout_.block, layout_.block, 0.0f);
        continue;
      }
      double sum = 0.0;
      for (int64_t c = b * layout_.block; c < (b + 1) * layout_.block; ++c) {
        const float units = (latent(r, c) - minimum) / scale;
        const auto level = static_cast<float>(layout_.levels[nearest(units)]);
        const bool inside = units >= lowest && units <= highest;
        float& at_value = gradient(r, c);
        sum += static_cast<double>(at_value * (inside ? level - units : level));
        if (!inside) at_value = 0.0f;
      }
      log_gradient(r, b) += static_cast<float>(sum * static_cast<double>(scale));
    }
  });
}

}  // namespace pare
