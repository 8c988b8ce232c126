// The tokenizer files of a Hugging Face folder.
#pragma once

#include <filesystem>

#include "text/tokenizer/tokenizer.h"

namespace pare {

// Reads the first of these that is there: tokenizer.json; tokenizer.model (SentencePiece); vocab.json and
// merges.txt. The last two take added and special tokens, and the space before the text, from
// tokenizer_config.json, added_tokens.json and special_tokens_map.json. add_bos_token and add_eos_token of
// tokenizer_config.json count for all. Throws kNotFound when none is there, kFormat and kUnsupported naming
// the file and the part.
Tokenizer tokenizer_from_folder(const std::filesystem::path& folder);

}  // namespace pare
