// config.json of LLaMA-type models.
#pragma once

#include "base/json.h"
#include "model/config.h"

namespace pare {

bool llama_matches(const Json& config);
// Throws kFormat / kUnsupported naming the key.
ModelConfig read_llama_config(const Json& json);
// Whether a plain LlamaForCausalLM can express these shapes.
bool llama_is_plain(const ModelConfig& config);
// Plain when it can be, else model_type "pare_llama" with the shapes of every layer under "pare".
Json write_llama_config(const ModelConfig& config);

}  // namespace pare
