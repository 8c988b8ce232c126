// Making linears sparse as a pass.
#pragma once

#include <memory>

#include "compress/passes.h"
#include "compress/sparsify/sparsify.h"

namespace pare {

// Throws kUsage naming an option that is out of range or does not go with another.
std::unique_ptr<Pass> sparsify_pass(SparsifyOptions options);

// Returns the line of making sparse in the table of passes.
PassKind sparsify_kind();

}  // namespace pare
