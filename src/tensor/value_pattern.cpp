#include "tensor/value_pattern.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "base/parallel.h"

namespace pare {

bool values_follow(const float* x, int64_t n, Pattern pattern) {
  if (pattern.dense()) return true;
  bool all = true;
  for (int64_t g = 0; g < n && all; g += pattern.group) {
    const int64_t end = std::min<int64_t>(n, g + pattern.group);
    int32_t kept = 0;
    for (int64_t i = g; i < end; ++i) kept += static_cast<int32_t>(x[i] != 0.0f);
    all = kept <= pattern.kept;
  }
  return all;
}

bool values_follow(std::span<const Weight> stack, Pattern pattern) {
  if (pattern.dense()) return true;
  // A weight that is stored in the pattern follows it.
  std::vector<const Weight*> open;
  for (const Weight& weight : stack)
    if (weight.format.pattern != pattern) open.push_back(&weight);
  const auto rows_fit = [&](const Weight& weight, int64_t first, int64_t last) {
    std::vector<float> row(static_cast<size_t>(weight.cols));
    for (int64_t r = first; r < last; ++r) {
      decode_row(weight, r, row.data());
      if (!values_follow(row.data(), weight.cols, pattern)) return false;
    }
    return true;
  };
  // The first row of each weight tells most dense ones.
  for (const Weight* weight : open)
    if (!rows_fit(*weight, 0, std::min<int64_t>(weight->rows, 1))) return false;
  constexpr int64_t kRows = 16;
  for (const Weight* weight : open) {
    std::atomic<bool> all = true;
    parallel_for((weight->rows + kRows - 1) / kRows, [&](int64_t chunk) {
      if (all && !rows_fit(*weight, chunk * kRows, std::min(weight->rows, (chunk + 1) * kRows))) all = false;
    });
    if (!all) return false;
  }
  return true;
}

}  // namespace pare
