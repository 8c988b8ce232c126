// The processor as a backend.
#pragma once

#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/host_linear.h"
#include "kernels/cpu/vector_ops.h"
#include "kernels/host_backend.h"

namespace pare {

class CpuBackend final : public HostBackend {
 public:
  // Makes the backend of an instruction set, which the machine must have.
  explicit CpuBackend(Isa isa);

  std::string_view name() const override { return "cpu"; }
  std::string_view detail() const override { return isa_name(isa_); }
  std::unique_ptr<PackedLinear> pack_linear(std::span<const Weight> stack, std::vector<float> bias,
                                            ComputeType compute) const override;
  std::string_view linear_kernel(const Weight& weight, Pattern pattern, ComputeType compute) const override;
  std::unique_ptr<PackedLinear> pack_product(MatrixView<const double> m) const override;
  void norm(const PackedNorm& norm, const Activation& x, const Activation& y, int64_t width) const override;
  void rotate(const RotaryTable& table, const Activation& x, int64_t head_dim) const override;
  void attend(const AttentionShape& shape, std::span<const Segment> segments, const Activation& q,
              const Activation& y) const override;
  void activate(ActivationFunction function, const Activation& x, int64_t hidden) const override;
  void add(const Activation& x, const Activation& y) const override;
  bool all_finite(const Activation& x) const override;
  void norm_adjoint(const PackedNorm& norm, const Activation& x, const Activation& dy, const Activation& dx,
                    int64_t width) const override;
  void rotate_back(const RotaryTable& table, const Activation& x, int64_t head_dim) const override;
  void activate_adjoint(ActivationFunction function, const Activation& x, int64_t hidden,
                        const Activation& d) const override;
  void attend_adjoint(const AttentionShape& shape, std::span<const Segment> segments, const Activation& q,
                      const Activation& k, const Activation& v, const Activation& dy, const Activation& dq,
                      const Activation& dk, const Activation& dv) const override;
  void weight_adjoint(const Activation& x, const Activation& dy, ComputeType compute,
                      MatrixView<float> dw) const override;
  void gram_accumulate(const Activation& x, const double* row_weights, MatrixView<double> h) const override;
  void cross_accumulate(const Activation& x, const Activation& y, const double* row_weights,
                        MatrixView<double> c) const override;
  double gram_inner_product(const Activation& x, MatrixView<const double> h) const override;
  ComputeType calibration_compute() const override;
  double gram_rounding() const override;

 private:
  bool has_tiles() const { return isa_ >= Isa::kAmx; }
  std::unique_ptr<HostLinear> pack(std::span<const Weight> stack, ComputeType compute) const;

  Isa isa_;
  const VectorOps& ops_;
};

}  // namespace pare
