// Exact: norm scales move into the linears that read them (SliceGPT, section 3.2).
#pragma once

#include "linalg/linalg.h"
#include "model/model.h"

namespace pare {

// The same stage with a weightless norm. New weights are f32.
Stage fuse_norm(const Stage& stage);

// What stands between the final norm, made weightless, and the head's matrix: head_transform · diag(norm
// weight), (width the head reads, output width).
Matrix<double> fused_head_map(const Model& model);

// Turns the divisor of sliced norms into a plain norm of the sliced width: weights · sqrt(D/d), eps · D/d.
// Exact; makes a uniformly sliced model without skips an ordinary checkpoint.
void use_plain_norms(Model& model);

}  // namespace pare
