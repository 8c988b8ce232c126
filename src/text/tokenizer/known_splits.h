// Pre-tokenizers with a scanner of their own, and the lists of steps that they stand for.
#pragma once

#include <vector>

#include "text/tokenizer/tokenizer.h"

namespace pare {

// Makes `steps` the pre-tokenizer of a byte-level spec whose prefix_space is set: the kind with a scanner for
// them, or kSplits.
void use_splits(std::vector<SplitStep> steps, TokenizerSpec& spec);
// Returns the steps that a byte-level kind stands for; of a kind that has steps, its own.
std::vector<SplitStep> splits_of(const TokenizerSpec& spec);

}  // namespace pare
