// Exact pass: norm scales move into the linears that read them (SliceGPT, section 3.2).
#pragma once

#include "model/model.h"

namespace pare {

// Afterwards every norm is weightless. The final norm's scale goes into the head, or, when the head is tied,
// into the head transform (a diagonal matrix); a transform before an untied head goes into the head. New
// weights are f32.
void fuse_norms(Model& model);

// Gives a tied model a head of its own (a copy of the embedding).
void untie_head(Model& model);

// Turns the divisor of sliced norms into a plain norm of the sliced width: weights · sqrt(D/d), eps · D/d.
// Exact; makes a uniformly sliced model without skips an ordinary checkpoint.
void use_plain_norms(Model& model);

}  // namespace pare
