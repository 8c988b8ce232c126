// Linears over packed panels: packing, and the loops that feed the kernels of an instruction set.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "kernels/cpu/host_linear.h"
#include "kernels/cpu/panel.h"
#include "tensor/weight.h"

namespace pare {

// Packs for `kernels`; with `amx` not null (bf16 and int8) larger batches go through tile products.
std::unique_ptr<HostLinear> pack_panel_linear(std::span<const Weight> stack, std::string_view name,
                                              const PanelKernels& kernels, const AmxKernels* amx);

// Packs the specification: rows decoded on the fly, sums in f64. Shares the weight's bytes.
std::unique_ptr<HostLinear> pack_reference_linear(std::span<const Weight> stack, ComputeType compute,
                                                  std::string_view name);

}  // namespace pare
