// Opening a model: a Hugging Face directory or a .gguf file.
#pragma once

#include <filesystem>

#include "checkpoint/arch/architecture.h"
#include "model/model.h"
#include "text/tokenizer/tokenizer.h"

namespace pare {

// Opens a model, whose ends of a text are those of config.json and those of generation_config.json, or those
// of gguf_ends(). Weights stay mapped; nothing is decoded but norms and biases. Throws kNotFound, kFormat or
// kUnsupported naming the file, key or tensor.
Model load_model(const std::filesystem::path& path);

// The tokenizer that belongs to a model path: tokenizer_from_folder, or GGUF metadata. Throws kNotFound,
// kFormat and kUnsupported.
Tokenizer load_tokenizer(const std::filesystem::path& path);

bool is_gguf_path(const std::filesystem::path& path);

}  // namespace pare
