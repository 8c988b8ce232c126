// The ways to run a linear on a processor, and the choice of one.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "kernels/cpu/cpu_features.h"
#include "kernels/cpu/host_linear.h"
#include "kernels/cpu/panel.h"
#include "tensor/weight.h"

namespace pare {

struct LinearSpec {
  Pattern pattern;
  ComputeType compute = ComputeType::kF32;
};

// One way to run a linear. The ordered list is in linear_impls.cpp: best first, reference last.
struct LinearImpl {
  std::string_view name;
  Isa needs;
  ComputeType compute;
  Pattern pattern;              // pattern that values must follow; dense: any
  const PanelKernels* kernels;  // kStored: those of all low-bit formats; null: the reference
  const AmxKernels* amx;        // kernels for larger batches; null: none

  bool accepts(const LinearSpec& spec) const {
    return spec.compute == compute && (pattern.dense() || spec.pattern == pattern);
  }
  // Returns whether values of bf16 are multiplied as they are, which takes less time than products of f32.
  bool multiplies_bf16() const { return amx != nullptr || (kernels != nullptr && kernels->multiplies_bf16); }
  std::unique_ptr<HostLinear> pack(std::span<const Weight> stack) const;
};

std::span<const LinearImpl> linear_impls();
// First implementation of the list that an instruction set allows and that accepts the spec (never null).
const LinearImpl& select_linear(const LinearSpec& spec, Isa isa);
// Chooses for weights that become one linear. Their pattern is that of the values, not of how they are
// stored: dense unless every group of every one fits 2:4.
const LinearImpl& select_linear(std::span<const Weight> stack, ComputeType compute, Isa isa);

}  // namespace pare
