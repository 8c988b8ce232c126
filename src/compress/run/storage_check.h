// Checks that the result of a compression fits the format that is asked for.
#pragma once

#include "compress/pass.h"
#include "compress/run/options.h"

namespace pare {

// Throws kUsage for a format that cannot hold the result.
void require_storable(const CompressionOptions& options, const Passes& passes, const Model& model);

// Warns in the log of storage that the input has and the output will not have: 8 bits, N:M without zeros.
void warn_of_lost_storage(const CompressionOptions& options, const Model& model);

}  // namespace pare
