// THE ordered list of ways to run a linear: best first, reference last. A new kernel is a file and a line
// here.
#include "kernels/cpu/linear_impls.h"

#include "base/error.h"
#include "kernels/cpu/panel_linear.h"
#include "tensor/value_pattern.h"

namespace pare {
namespace {

// Dense kernels run whatever pattern the zeros make.
template <ComputeType kCompute>
bool any(const LinearSpec& spec) {
  return spec.compute == kCompute;
}
template <ComputeType kCompute>
bool two_of_four(const LinearSpec& spec) {
  return spec.compute == kCompute && spec.pattern == k2of4;
}

constexpr ComputeType kF32 = ComputeType::kF32;
constexpr ComputeType kBF16 = ComputeType::kBF16;
constexpr ComputeType kInt8 = ComputeType::kInt8;

using Stack = std::span<const Weight>;
using Packed = std::unique_ptr<HostLinear>;

// detected_isa() also asks the system for the tile permission.
Packed pack_amx_bf16(Stack w) {
  PARE_CHECK(detected_isa() >= Isa::kAmx);
  return pack_panel_linear(w, "amx_bf16", kPanelAvx512Bf16, &kPanelAmx);
}
Packed pack_amx_int8(Stack w) {
  PARE_CHECK(detected_isa() >= Isa::kAmx);
  return pack_panel_linear(w, "amx_int8", kPanelAvx512Int8, &kPanelAmx);
}
Packed pack_amx_2of4_bf16(Stack w) {
  PARE_CHECK(detected_isa() >= Isa::kAmx);
  return pack_panel_linear(w, "amx_2of4_bf16", kPanelAvx512Bf16Of4, &kPanelAmx);
}
Packed pack_amx_2of4_int8(Stack w) {
  PARE_CHECK(detected_isa() >= Isa::kAmx);
  return pack_panel_linear(w, "amx_2of4_int8", kPanelAvx512Int8Of4, &kPanelAmx);
}
Packed pack_avx512_2of4_bf16(Stack w) {
  return pack_panel_linear(w, "avx512_2of4_bf16", kPanelAvx512Bf16Of4, nullptr);
}
Packed pack_avx512_2of4_int8(Stack w) {
  return pack_panel_linear(w, "avx512_2of4_int8", kPanelAvx512Int8Of4, nullptr);
}
Packed pack_avx2_2of4_bf16(Stack w) {
  return pack_panel_linear(w, "avx2_2of4_bf16", kPanelAvx2Bf16Of4, nullptr);
}
Packed pack_avx2_2of4_int8(Stack w) {
  return pack_panel_linear(w, "avx2_2of4_int8", kPanelAvx2Int8Of4, nullptr);
}
Packed pack_avx512_bf16(Stack w) { return pack_panel_linear(w, "avx512_bf16", kPanelAvx512Bf16, nullptr); }
Packed pack_avx512_int8(Stack w) { return pack_panel_linear(w, "avx512_int8", kPanelAvx512Int8, nullptr); }
Packed pack_avx512_f32(Stack w) { return pack_panel_linear(w, "avx512_f32", kPanelAvx512F32, nullptr); }
Packed pack_avx2_bf16(Stack w) { return pack_panel_linear(w, "avx2_bf16", kPanelAvx2Bf16, nullptr); }
Packed pack_avx2_int8(Stack w) { return pack_panel_linear(w, "avx2_int8", kPanelAvx2Int8, nullptr); }
Packed pack_avx2_f32(Stack w) { return pack_panel_linear(w, "avx2_f32", kPanelAvx2F32, nullptr); }
Packed pack_reference_bf16(Stack w) { return pack_reference_linear(w, kBF16, "reference_bf16"); }
Packed pack_reference_int8(Stack w) { return pack_reference_linear(w, kInt8, "reference_int8"); }
Packed pack_reference_f32(Stack w) { return pack_reference_linear(w, kF32, "reference_f32"); }

constexpr LinearImpl kImpls[] = {
    {"amx_2of4_bf16", Isa::kAmx, two_of_four<kBF16>, pack_amx_2of4_bf16},
    {"amx_2of4_int8", Isa::kAmx, two_of_four<kInt8>, pack_amx_2of4_int8},
    {"amx_bf16", Isa::kAmx, any<kBF16>, pack_amx_bf16},
    {"amx_int8", Isa::kAmx, any<kInt8>, pack_amx_int8},
    {"avx512_2of4_bf16", Isa::kAvx512, two_of_four<kBF16>, pack_avx512_2of4_bf16},
    {"avx512_2of4_int8", Isa::kAvx512, two_of_four<kInt8>, pack_avx512_2of4_int8},
    {"avx512_bf16", Isa::kAvx512, any<kBF16>, pack_avx512_bf16},
    {"avx512_int8", Isa::kAvx512, any<kInt8>, pack_avx512_int8},
    {"avx512_f32", Isa::kAvx512, any<kF32>, pack_avx512_f32},
    {"avx2_2of4_bf16", Isa::kAvx2, two_of_four<kBF16>, pack_avx2_2of4_bf16},
    {"avx2_2of4_int8", Isa::kAvx2, two_of_four<kInt8>, pack_avx2_2of4_int8},
    {"avx2_bf16", Isa::kAvx2, any<kBF16>, pack_avx2_bf16},
    {"avx2_int8", Isa::kAvx2, any<kInt8>, pack_avx2_int8},
    {"avx2_f32", Isa::kAvx2, any<kF32>, pack_avx2_f32},
    {"reference_bf16", Isa::kReference, any<kBF16>, pack_reference_bf16},
    {"reference_int8", Isa::kReference, any<kInt8>, pack_reference_int8},
    {"reference_f32", Isa::kReference, any<kF32>, pack_reference_f32},
};

}  // namespace

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
  LinearSpec spec{kDense, compute, stacked_rows(stack), stack[0].cols};
  const LinearImpl& dense = select_linear(spec, isa);
  spec.pattern = k2of4;
  const LinearImpl& sparse = select_linear(spec, isa);
  return &sparse != &dense && values_follow(stack, k2of4) ? sparse : dense;
}

}  // namespace pare
