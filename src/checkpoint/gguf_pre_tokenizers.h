// Pre-tokenizers of llama.cpp, by their names in tokenizer.ggml.pre.
#pragma once

#include <string>
#include <string_view>

#include "text/tokenizer/tokenizer.h"

namespace pare {

// Property of a name beside its pre-tokenizer.
struct GgufPreTokenizer {
  bool adds_bos = false;  // unless the file says otherwise
};

// Name that a file without one, or with "default", is read as. llama.cpp does so too, and warns.
inline constexpr std::string_view kDefaultPreTokenizer = "default";

// Sets pre-tokenizer, normalizer and ignore_merges of a byte-level spec to what `name` means. Throws
// kUnsupported, naming `what` and the name, when pare has no rules for it.
GgufPreTokenizer apply_gguf_pre_tokenizer(std::string_view name, std::string_view what, TokenizerSpec& spec);

// Returns the name of a byte-level spec's pre-tokenizer. Throws kUnsupported when llama.cpp has none for it.
std::string gguf_pre_tokenizer_name(const TokenizerSpec& spec);

}  // namespace pare
