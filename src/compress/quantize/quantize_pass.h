// Rounding to few bits as a pass.
#pragma once

#include <memory>
#include <vector>

#include "compress/passes.h"
#include "compress/quantize/options.h"

namespace pare {

std::unique_ptr<Pass> quantize_pass(QuantizeOptions options);
PassKind quantize_kind();
// Returns those of its options that make a budget.
std::vector<PassOption> budget_options();

}  // namespace pare
