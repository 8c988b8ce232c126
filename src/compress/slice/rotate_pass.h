// pare rotate as a pass: the residual stream in a random basis.
#pragma once

#include "compress/passes.h"

namespace pare {

// Mixes all channels of the residual stream with a random orthogonal matrix, which is fused into the weights:
// the same function, in which no channel stands out, so that rounding to few bits costs less (QuaRot, arXiv
// 2404.00456).
PassKind rotate_kind();

}  // namespace pare
