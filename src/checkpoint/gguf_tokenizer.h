// The tokenizer inside a GGUF file.
#pragma once

#include <vector>

#include "io/gguf.h"
#include "text/tokenizer/tokenizer.h"

namespace pare {

// Reads tokenizer.ggml.* metadata. Throws kUnsupported naming the tokenizer model or pre-tokenizer that pare
// does not have.
Tokenizer tokenizer_from_gguf(const GgufFile& file);
// Returns the metadata that stores a tokenizer, for a model of `vocab_size` rows (unused ids are filled).
std::vector<GgufEntry> gguf_tokenizer_entries(const Tokenizer& tokenizer, int64_t vocab_size);

}  // namespace pare
