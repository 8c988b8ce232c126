// A text as token ids that several models share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/files/documents.h"

namespace pare {

// Encodes the text by the tokenizer of the first model; the others must give the same ids. `models`: paths.
// Throws kInvalid naming two models whose tokenizers give different ids, and as load_tokenizer(),
// load_model() and require_known_text() do.
std::vector<int32_t> shared_ids(const std::vector<std::string>& models, const Documents& documents);

}  // namespace pare
