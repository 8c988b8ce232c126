// Text to token ids and back, as other servers' /tokenize and /detokenize have it.
#pragma once

#include <string_view>
#include <vector>

#include "base/json.h"
#include "serve/served_model.h"

namespace pare {

// {"content": text} as llama.cpp takes it, or {"prompt": text} as vLLM does, which adds the tokenizer's BOS
// unless told otherwise; "add_special" or "add_special_tokens", "parse_special", "with_pieces" and
// "return_token_strs" are options of theirs. Answers {"tokens", "count", "max_model_len"}. Throws as
// read_api_request does.
Json tokenize_json(std::string_view body, const std::vector<ServedModel>& models, int64_t context);

// Answers {"tokens": ids} with {"content": text, "prompt": text}. Throws as read_api_request does.
Json detokenize_json(std::string_view body, const std::vector<ServedModel>& models);

}  // namespace pare
