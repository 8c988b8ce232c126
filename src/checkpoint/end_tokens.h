// The tokens that end a text, in the files of a model.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "io/gguf.h"

namespace pare {

// Reads token ids under `key`: one, or an array of them; none when absent or null. Throws kFormat naming
// `what` and the key.
std::vector<int32_t> read_token_ids(const Json& object, const char* key, std::string_view what);

// Appends the ids of `more` that `ends` does not have yet.
void add_ends(std::span<const int32_t> more, std::vector<int32_t>& ends);

// Every token at which llama.cpp ends a text: those that the metadata names, `tokenizer.ggml.eos_token_id`
// first, and those known by their text ("<|im_end|>", "<end_of_turn>", …), in the order of their ids. Ids
// that the file has no token for are left out. Throws kFormat.
std::vector<int32_t> gguf_ends(const GgufMetadata& metadata);

// The metadata that names the ends that llama.cpp does not know by their text, but for the first one, which
// is `tokenizer.ggml.eos_token_id`; `tokens` are all of the vocabulary. llama.cpp has keys for two of them;
// ends that it will not see are logged.
std::vector<GgufEntry> gguf_end_entries(std::span<const int32_t> ends, std::span<const std::string> tokens);

}  // namespace pare
