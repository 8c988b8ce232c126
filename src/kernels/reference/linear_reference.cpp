// The specification of every linear: rows decoded on the fly, sums in f64.
#include <algorithm>

#include "base/bf16.h"
#include "base/parallel.h"
#include "kernels/panel_linear.h"

namespace pare {
namespace {

constexpr int64_t kPieceRows = 16;

float as_bf16(float v) { return to_f32(to_bf16(v)); }

class ReferenceLinear final : public PackedLinear {
 public:
  ReferenceLinear(const Weight& weight, ComputeType compute, std::string_view name)
      : PackedLinear(weight.rows, weight.cols, name), weight_(weight), compute_(compute) {}

  int64_t bytes() const override { return weight_.bytes(); }

  void apply(MatrixView<const float> x, MatrixView<float> y) const noexcept override {
    const bool round = compute_ == ComputeType::kBF16;
    parallel_for((weight_.rows + kPieceRows - 1) / kPieceRows, [&](int64_t piece) {
      AlignedBuffer<float> row(static_cast<size_t>(weight_.cols));
      for (int64_t r = piece * kPieceRows; r < std::min(weight_.rows, (piece + 1) * kPieceRows); ++r) {
        decode_row(weight_, r, row.data());
        if (round) std::transform(row.data(), row.data() + row.size(), row.data(), as_bf16);
        for (int64_t t = 0; t < x.rows; ++t) {
          double sum = 0.0;
          for (int64_t k = 0; k < x.cols; ++k) {
            const float value = round ? as_bf16(x(t, k)) : x(t, k);
            sum += static_cast<double>(value) * static_cast<double>(row[static_cast<size_t>(k)]);
          }
          y(t, r) = static_cast<float>(sum);
        }
      }
    });
  }

 private:
  Weight weight_;
  ComputeType compute_;
};

}  // namespace

std::unique_ptr<PackedLinear> pack_reference_linear(const Weight& weight, ComputeType compute,
                                                    std::string_view name) {
  return std::make_unique<ReferenceLinear>(weight, compute, name);
}

}  // namespace pare
