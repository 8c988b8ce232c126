// How a request wants its tokens to be chosen.
#pragma once

#include "base/json.h"
#include "runtime/sampler.h"

namespace pare {

// What the body says; what it does not say is as `defaults` have it, but for the seed: without one, every
// request draws its own. Ids of "logit_bias" are below `vocab`. Throws kFormat and kInvalid naming the field.
SamplingOptions read_sampling(const Json& body, const SamplingOptions& defaults, int64_t vocab);

}  // namespace pare
