#include "kernels/cpu/cpu_features.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "base/error.h"

namespace pare {
namespace {

struct Registers {
  uint32_t a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
  Registers r;
  __get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d);
  return r;
}

bool has_bit(uint32_t value, int bit) { return ((value >> bit) & 1u) != 0; }

// Returns the register states that the operating system saves (XCR0); needs OSXSAVE.
uint64_t saved_states() {
  uint32_t low = 0;
  uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}

// Linux hands out the 8 KB of tile state per thread only on request.
bool request_tile_permission() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

Isa detect() {
  const Registers basic = cpuid(1, 0);
  const Registers extended = cpuid(7, 0);
  const Registers extended1 = cpuid(7, 1);
  const bool fma_f16c_osxsave = has_bit(basic.c, 12) && has_bit(basic.c, 29) && has_bit(basic.c, 27);
  if (!fma_f16c_osxsave || !has_bit(extended.b, 5)) return Isa::kReference;
  const uint64_t states = saved_states();
  constexpr uint64_t kYmm = 0x6;
  constexpr uint64_t kZmm = kYmm | 0xe0;
  constexpr uint64_t kTiles = kZmm | 0x60000;
  if ((states & kYmm) != kYmm) return Isa::kReference;
  const bool avx512 = has_bit(extended.b, 16) && has_bit(extended.b, 17) && has_bit(extended.b, 30) &&
                      has_bit(extended.b, 31) && has_bit(extended.c, 1) && has_bit(extended.c, 6) &&
                      has_bit(extended.c, 11) && has_bit(extended1.a, 5);
  if (!avx512 || (states & kZmm) != kZmm) return Isa::kAvx2;
  const bool amx = has_bit(extended.d, 22) && has_bit(extended.d, 24) && has_bit(extended.d, 25);
  if (!amx || (states & kTiles) != kTiles || !request_tile_permission()) return Isa::kAvx512;
  return Isa::kAmx;
}

}  // namespace

std::string_view isa_name(Isa isa) {
  switch (isa) {
    case Isa::kReference:
      return "reference";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAmx:
      return "amx";
  }
  return "unknown";
}

Isa detected_isa() {
  static const Isa isa = detect();
  return isa;
}

Isa lowered_isa(Isa detected, std::string_view wanted) {
  if (wanted.empty()) return detected;
  for (const Isa isa : {Isa::kReference, Isa::kAvx2, Isa::kAvx512, Isa::kAmx})
    if (isa_name(isa) == wanted) return isa < detected ? isa : detected;
  fail(ErrorCode::kUsage, "PARE_ISA must be reference, avx2, avx512 or amx, got \"{}\"", wanted);
}

Isa active_isa() {
  static const Isa isa = [] {
    const char* wanted = std::getenv("PARE_ISA");
    return lowered_isa(detected_isa(), wanted == nullptr ? "" : wanted);
  }();
  return isa;
}

}  // namespace pare
