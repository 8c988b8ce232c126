// Sampling options of a request.
#pragma once

#include "base/json.h"
#include "runtime/sampler.h"

namespace pare {

// Reads the body's sampling options; missing ones are those of `defaults`, but for the seed: without it, each
// request draws its own. Ids of "logit_bias" are below `vocab`. Throws kFormat and kInvalid naming the field.
SamplingOptions read_sampling(const Json& body, const SamplingOptions& defaults, int64_t vocab);

}  // namespace pare
