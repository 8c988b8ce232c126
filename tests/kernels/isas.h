// The instruction sets of this machine.
#pragma once

#include <vector>

#include "kernels/cpu/cpu_features.h"

namespace pare::test {

inline std::vector<Isa> isas() {
  std::vector<Isa> result;
  for (const Isa isa : {Isa::kReference, Isa::kAvx2, Isa::kAvx512, Isa::kAmx})
    if (isa <= detected_isa()) result.push_back(isa);
  return result;
}

}  // namespace pare::test
