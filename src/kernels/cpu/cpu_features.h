// Instruction sets of this machine, and the level in use.
#pragma once

#include <string_view>

namespace pare {

// Instruction sets in order: each level includes the ones before it. kAvx512 means F, BW, DQ, VL, VBMI,
// VBMI2, VNNI and BF16.
enum class Isa { kReference, kAvx2, kAvx512, kAmx };

std::string_view isa_name(Isa isa);
// Returns what processor and operating system offer (asks the kernel for the AMX tile permission once).
Isa detected_isa();
// `detected` lowered to the level named `wanted` (empty: as it is; never raised). Throws kUsage on another
// word.
Isa lowered_isa(Isa detected, std::string_view wanted);
// detected_isa() lowered by PARE_ISA=reference|avx2|avx512|amx (never raised). Throws kUsage on another word.
Isa active_isa();

}  // namespace pare
