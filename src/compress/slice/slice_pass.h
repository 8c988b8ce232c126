// Slicing as a pass.
#pragma once

#include <memory>

#include "compress/passes.h"
#include "compress/slice/slice.h"

namespace pare {

// Returns the option of passes that rotate the residual stream.
PassOption keep_tie_option();

// Throws kUsage naming an option that is out of range or does not go with another.
std::unique_ptr<Pass> slice_pass(const SliceOptions& options);

// Returns the line of slicing in the table of passes.
PassKind slice_kind();

}  // namespace pare
