// Which lists of steps the pre-tokenizers with a scanner of their own stand for.
#pragma once

#include <vector>

#include "text/tokenizer/tokenizer.h"

namespace pare {

// Makes `steps` the pre-tokenizer of a byte-level spec whose prefix_space is set: the kind with a scanner for
// them, or kSplits.
void use_splits(std::vector<SplitStep> steps, TokenizerSpec& spec);
// The steps that a byte-level kind stands for; of the kinds that have steps, those.
std::vector<SplitStep> splits_of(const TokenizerSpec& spec);

}  // namespace pare
