// Whether what a compression makes goes into the format that is asked for.
#pragma once

#include "compress/pass.h"
#include "compress/run/options.h"

namespace pare {

// Throws kUsage for a format that the result would not go into.
void require_storable(const CompressionOptions& options, const Passes& passes, const Model& model);

// Says in the log what the input is stored in and the output will not be: 8 bits, N:M without zeros.
void warn_of_lost_storage(const CompressionOptions& options, const Model& model);

}  // namespace pare
