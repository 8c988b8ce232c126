// Log-probabilities as the OpenAI API writes them.
#pragma once

#include <span>

#include "base/json.h"
#include "engine/scored_token.h"
#include "text/tokenizer/tokenizer.h"

namespace pare {

// Log-probabilities of a completion: {"tokens", "token_logprobs", "top_logprobs", "text_offset"}, a value a
// token. `offset`: in characters of the text of all tokens, where the first of these begins; set to where the
// next one would. A token that is not UTF-8 by itself is written as "bytes:\xe2\x80".
Json completion_logprobs(const Tokenizer& tokenizer, std::span<const ScoredToken> tokens, int64_t& offset);

// Log-probabilities of a chat: {"content": [{"token", "logprob", "bytes", "top_logprobs"}, …], "refusal":
// null}.
Json chat_logprobs(const Tokenizer& tokenizer, std::span<const ScoredToken> tokens);

}  // namespace pare
