// Linears ready to run: y = x·Wᵀ + b. Packed once at load by a backend, never written to disk.
#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/activation.h"

namespace pare {

// Number types of products. kF32: f32 × f32. kBF16: weights and activations rounded to bf16 (nearest even),
// f32 accumulation. kInt8: weights of 8 bits with one scale a row, activations rounded to bf16, f32
// accumulation; an int8 weight with one scale a row keeps its codes, any other is rounded (round_to_int8).
// kStored: a low-bit weight (code_format) runs as it is stored: few tokens with activations of 13 bits or
// more beside their largest of 256, more of them as kBF16; an int8 weight with one scale a row as kInt8, any
// other weight as kBF16. Inputs and outputs are f32 in memory in any case.
enum class ComputeType { kF32, kBF16, kInt8, kStored };
std::string_view compute_type_name(ComputeType type);

// An opaque packed linear of out × in, bias included. Immutable; apply() may be called from one thread at a
// time per call, and uses all threads inside.
class PackedLinear {
 public:
  virtual ~PackedLinear() = default;
  // y = x·Wᵀ + b for x (tokens, in), y (tokens, out), both of the backend that made this; no overlap. Any
  // tokens >= 1. The result of a token does not depend on the thread count, nor on the other tokens but for
  // rounding: tile products (amx_*) sum in another order from five tokens on, 8-bit and 2:4 weights with
  // AVX-512 from nine tokens on.
  // Scratch memory for up to 512 packed tokens stays with the calling thread; running out of memory ends the
  // process.
  virtual void apply(const Activation& x, const Activation& y) const noexcept = 0;
  // Computes y = x·Wᵀ + b for rows that lie in the host's memory.
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

}  // namespace pare
