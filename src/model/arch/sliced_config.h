// The `pare_llama` config.json: the widths of every block (docs/file_format.md).
#pragma once

#include "model/arch/architecture.h"

namespace pare::sliced {

inline constexpr const char* kModelType = "pare_llama";
inline constexpr const char* kClass = "PareLlamaForCausalLM";

// Biases and blocks from the object "pare".
void read_blocks(const Json& pare, int64_t layers, ModelConfig& config);
Json write_config(const ModelConfig& config);

}  // namespace pare::sliced
