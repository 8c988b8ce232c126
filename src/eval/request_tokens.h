// Contexts and continuations as token ids, divided as lm-evaluation-harness does.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "eval/task_item.h"
#include "model/config.h"
#include "text/tokenizer/tokenizer.h"

namespace pare {

// The last `targets` ids are scored, each behind all before it; at least one id stands before them.
struct ScoredSequence {
  std::vector<int32_t> ids;
  int64_t targets = 0;
};

// White space at the end of the context is scored with the continuation. The context's ids are those of its
// own text, the continuation's what is left of the whole text's, so a merge across the border counts for the
// latter. Special tokens are added as the tokenizer does, not behind a written BOS; an empty context is the
// BOS (or EOS) token. A request longer than the model's context and one token loses its start. Throws
// kInvalid naming `what` when the continuation has no tokens of its own or more than the model's context, and
// when ids are outside the vocabulary.
ScoredSequence tokenize_request(const TaskRequest& request, const Tokenizer& tokenizer,
                                const ModelConfig& config, std::string_view what);

}  // namespace pare
