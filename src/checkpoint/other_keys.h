// What a config.json, or the metadata of a GGUF file, says beside what pare reads and writes: it goes on to
// the output of the same format.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "io/gguf_metadata.h"

namespace pare {

// The keys of `config` that pare neither reads nor writes, nor describe how the file was stored or made, as
// the text of a JSON object; empty when there are none.
std::string other_keys_of(const Json& config);

// Puts them behind those of `config`; a key that pare only fills in ("pad_token_id" of OPT) becomes theirs.
void add_other_keys(const std::string& other_keys, Json& config);

// Whether pare reads, writes or drops a key: it then is none of the others.
bool is_own_config_key(std::string_view key);

// The metadata of a GGUF file that save_gguf() does not write anew and that stays true in any copy: not what
// is said of the file ("general.*"), of its parts, of how it was quantised, or of the rotary embedding.
std::vector<GgufEntry> other_gguf_entries(const GgufMetadata& metadata);

}  // namespace pare
