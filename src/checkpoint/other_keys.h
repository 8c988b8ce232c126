// Keys of a config.json, or of a GGUF file's metadata, that pare neither reads nor writes: they go on to
// the output of the same format.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "io/gguf_metadata.h"

namespace pare {

// Returns the keys of `config` that pare neither reads nor writes, and that do not describe how the file was
// stored or made, as the text of a JSON object; empty when there are none.
std::string other_keys_of(const Json& config);

// Puts other keys behind those of `config`; they replace one that pare only fills in ("pad_token_id" of OPT).
void add_other_keys(const std::string& other_keys, Json& config);

// Returns whether pare reads, writes or drops a key: it is none of the other keys then.
bool is_own_config_key(std::string_view key);

// Metadata of a GGUF file that save_gguf() does not write anew and that stays true in any copy: no keys
// about the file ("general.*"), its parts, how it was quantised, or the rotary embedding.
std::vector<GgufEntry> other_gguf_entries(const GgufMetadata& metadata);

}  // namespace pare
