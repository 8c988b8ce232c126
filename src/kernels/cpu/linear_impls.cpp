// THE ordered list of ways to run a linear: best first, reference last. A new kernel is a file and a line
// here.
#include "kernels/cpu/linear_impls.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "kernels/cpu/panel_linear.h"
#include "tensor/code_rows.h"
#include "tensor/value_pattern.h"

namespace pare {
namespace {

constexpr ComputeType kF32 = ComputeType::kF32;
constexpr ComputeType kBF16 = ComputeType::kBF16;
constexpr ComputeType kInt8 = ComputeType::kInt8;
constexpr ComputeType kStored = ComputeType::kStored;

// Dense kernels run any pattern of zeros.
constexpr LinearImpl kImpls[] = {
    {"amx_2of4_bf16", Isa::kAmx, kBF16, k2of4, &kPanelAvx512Bf16Of4, &kPanelAmx},
    {"amx_2of4_int8", Isa::kAmx, kInt8, k2of4, &kPanelAvx512Int8Of4, &kPanelAmx},
    {"amx_bf16", Isa::kAmx, kBF16, kDense, &kPanelAvx512Bf16, &kPanelAmx},
    {"amx_int8", Isa::kAmx, kInt8, kDense, &kPanelAvx512Int8, &kPanelAmx},
    {"amx_stored", Isa::kAmx, kStored, kDense, kPanelAvx512Codes, &kPanelAmx},
    {"avx512_2of4_bf16", Isa::kAvx512, kBF16, k2of4, &kPanelAvx512Bf16Of4, nullptr},
    {"avx512_2of4_int8", Isa::kAvx512, kInt8, k2of4, &kPanelAvx512Int8Of4, nullptr},
    {"avx512_bf16", Isa::kAvx512, kBF16, kDense, &kPanelAvx512Bf16, nullptr},
    {"avx512_int8", Isa::kAvx512, kInt8, kDense, &kPanelAvx512Int8, nullptr},
    {"avx512_f32", Isa::kAvx512, kF32, kDense, &kPanelAvx512F32, nullptr},
    {"avx512_stored", Isa::kAvx512, kStored, kDense, kPanelAvx512Codes, nullptr},
    {"avx2_2of4_bf16", Isa::kAvx2, kBF16, k2of4, &kPanelAvx2Bf16Of4, nullptr},
    {"avx2_2of4_int8", Isa::kAvx2, kInt8, k2of4, &kPanelAvx2Int8Of4, nullptr},
    {"avx2_bf16", Isa::kAvx2, kBF16, kDense, &kPanelAvx2Bf16, nullptr},
    {"avx2_int8", Isa::kAvx2, kInt8, kDense, &kPanelAvx2Int8, nullptr},
    {"avx2_f32", Isa::kAvx2, kF32, kDense, &kPanelAvx2F32, nullptr},
    {"avx2_stored", Isa::kAvx2, kStored, kDense, kPanelAvx2Codes, nullptr},
    {"reference_bf16", Isa::kReference, kBF16, kDense, nullptr, nullptr},
    {"reference_int8", Isa::kReference, kInt8, kDense, nullptr, nullptr},
    {"reference_stored", Isa::kReference, kStored, kDense, nullptr, nullptr},
    {"reference_f32", Isa::kReference, kF32, kDense, nullptr, nullptr},
};

// Returns the kernels for the low-bit format of a weight.
const PanelKernels& kernels_for(const PanelKernels* of_codes, const Weight& weight) {
  const std::optional<CodeFormat> format = code_format(weight);
  PARE_CHECK(format.has_value());
  const PanelKernels* end = of_codes + kCodeFormats;
  const PanelKernels* found = std::find_if(of_codes, end, [&](const PanelKernels& kernels) {
    return panel_block(kernels.format).codes == format->shape;
  });
  PARE_CHECK(found != end);
  return *found;
}

}  // namespace

std::unique_ptr<HostLinear> LinearImpl::pack(std::span<const Weight> stack) const {
  if (kernels == nullptr) return pack_reference_linear(stack, compute, name);
  // detected_isa() also asks the system for the tile permission.
  PARE_CHECK(amx == nullptr || detected_isa() >= Isa::kAmx);
  return pack_panel_linear(stack, name, compute == kStored ? kernels_for(kernels, stack[0]) : *kernels, amx);
}

std::span<const LinearImpl> linear_impls() { return kImpls; }

const LinearImpl& select_linear(const LinearSpec& spec, Isa isa) {
  for (const LinearImpl& impl : kImpls)
    if (impl.needs <= isa && impl.accepts(spec)) return impl;
  fail(ErrorCode::kInternal, "no linear accepts pattern {}, {}", pattern_name(spec.pattern),
       compute_type_name(spec.compute));
}

const LinearImpl& select_linear(std::span<const Weight> stack, ComputeType compute, Isa isa) {
  PARE_CHECK(!stack.empty());
  for (const Weight& weight : stack) PARE_CHECK(weight.cols == stack[0].cols);
  LinearSpec spec{kDense, compute};
  const LinearImpl& dense = select_linear(spec, isa);
  spec.pattern = k2of4;
  const LinearImpl& sparse = select_linear(spec, isa);
  return &sparse != &dense && values_follow(stack, k2of4) ? sparse : dense;
}

}  // namespace pare
