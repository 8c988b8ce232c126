// Linears ready to run: y = x·Wᵀ. Packed once at load for one instruction set, never written to disk.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "kernels/cpu/cpu_features.h"
#include "tensor/weight.h"

namespace pare {

// What products are made of. kF32: f32 × f32. kBF16: weights and activations rounded to bf16 (nearest even),
// f32 accumulation. kInt8: weights rounded to 8 bits with one scale a row (round_to_int8), activations to
// bf16, f32 accumulation. Inputs and outputs are f32 in memory in any case.
enum class ComputeType { kF32, kBF16, kInt8 };
std::string_view compute_type_name(ComputeType type);

// An opaque packed linear of out × in. Immutable; apply() may be called from one thread at a time per call,
// and uses parallel_for inside.
class PackedLinear {
 public:
  virtual ~PackedLinear() = default;
  // y = x·Wᵀ for x (tokens, in), y (tokens, out); no overlap. Any tokens >= 1. The result of a token does
  // not depend on the thread count, nor on the other tokens, except that tile products (amx_*) sum in another
  // order (within rounding) for batches of five tokens and more. Scratch memory for up to 512 packed tokens
  // stays with the calling thread; running out of memory ends the process.
  virtual void apply(MatrixView<const float> x, MatrixView<float> y) const noexcept = 0;
  // Bytes read from memory when applied to one token.
  virtual int64_t bytes() const = 0;

  int64_t in_features() const { return in_; }
  int64_t out_features() const { return out_; }
  std::string_view kernel() const { return kernel_; }

 protected:
  PackedLinear(int64_t out, int64_t in, std::string_view kernel) : out_(out), in_(in), kernel_(kernel) {}

 private:
  int64_t out_;
  int64_t in_;
  std::string_view kernel_;
};

struct LinearSpec {
  Pattern pattern;
  ComputeType compute = ComputeType::kF32;
  int64_t out = 0;
  int64_t in = 0;
};

// One way to run a linear. The ordered list is in linear_impls.cpp: best first, reference last.
struct LinearImpl {
  std::string_view name;
  Isa needs;
  bool (*accepts)(const LinearSpec&);
  std::unique_ptr<PackedLinear> (*pack)(std::span<const Weight> stack);
};

std::span<const LinearImpl> linear_impls();
// First implementation of the list that active_isa() allows and that accepts the spec (never null).
const LinearImpl& select_linear(const LinearSpec& spec);
// The same for weights that become one linear. Their pattern is that of the values, not of how they are
// stored: dense unless every group of every one fits 2:4.
const LinearImpl& select_linear(std::span<const Weight> stack, ComputeType compute);
// Packs weights that read the same input as one linear: the outputs of the first, then of the second, ... All
// have the same number of columns. Pages of mapped weights are released once they are packed.
std::unique_ptr<PackedLinear> pack_linear(std::span<const Weight> stack, ComputeType compute);
std::unique_ptr<PackedLinear> pack_linear(const Weight& weight, ComputeType compute);

}  // namespace pare
