// The specification of every linear: rows decoded on the fly, sums in f64.
#include <algorithm>
#include <vector>

#include "base/bf16.h"
#include "base/parallel.h"
#include "kernels/cpu/panel_linear.h"

namespace pare {
namespace {

constexpr int64_t kPieceRows = 16;

class ReferenceLinear final : public HostLinear {
 public:
  ReferenceLinear(std::span<const Weight> stack, ComputeType compute, std::string_view name)
      : HostLinear(stacked_rows(stack), stack[0].cols, name),
        stack_(stack.begin(), stack.end()),
        compute_(compute) {}

  int64_t weight_bytes() const override {
    int64_t sum = 0;
    for (const Weight& weight : stack_) sum += weight.bytes();
    return sum;
  }

  void multiply(MatrixView<const float> x, MatrixView<float> y) const noexcept override {
    const bool round = compute_ == ComputeType::kBF16 || compute_ == ComputeType::kInt8;
    const int64_t rows = out_features();
    parallel_for((rows + kPieceRows - 1) / kPieceRows, [&](int64_t piece) {
      AlignedBuffer<float> row(static_cast<size_t>(in_features()));
      for (int64_t r = piece * kPieceRows; r < std::min(rows, (piece + 1) * kPieceRows); ++r) {
        float scale = 1.0f;
        if (compute_ == ComputeType::kInt8)
          scale = int8_row(stack_, r, row.data());
        else
          decode_row(stack_, r, row.data());
        if (compute_ == ComputeType::kBF16)
          std::transform(row.data(), row.data() + row.size(), row.data(), nearest_bf16);
        for (int64_t t = 0; t < x.rows; ++t) {
          double sum = 0.0;
          for (int64_t k = 0; k < x.cols; ++k) {
            const float value = round ? nearest_bf16(x(t, k)) : x(t, k);
            sum += static_cast<double>(value) * static_cast<double>(row[static_cast<size_t>(k)]);
          }
          y(t, r) = static_cast<float>(sum * scale);
        }
      }
    });
  }

 private:
  std::vector<Weight> stack_;
  ComputeType compute_;
};

}  // namespace

std::unique_ptr<HostLinear> pack_reference_linear(std::span<const Weight> stack, ComputeType compute,
                                                  std::string_view name) {
  return std::make_unique<ReferenceLinear>(stack, compute, name);
}

}  // namespace pare
