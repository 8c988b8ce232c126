// Writing a model: Hugging Face weights and config, or one GGUF file.
#pragma once

#include <filesystem>
#include <optional>

#include "base/json.h"
#include "io/model_dir.h"
#include "model/copy_files.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace pare {

// `dtype`: f32, f16 or bf16 for every matrix; none keeps the encoding of each (a block encoding becomes
// bf16). Norms and biases are written in that type too when it holds them exactly, else in f32.

// Writes config.json and the weights into an existing folder, the config last; before it, unless the model is
// plain, the Python files with which transformers loads it.
void save_hf(const Model& original, const std::filesystem::path& folder, std::optional<Encoding> dtype,
             uint64_t max_shard_bytes = kDefaultShardBytes);
// `chat`: its BOS and EOS go before those of the model's config. Throws kUnsupported when an unmodified
// llama.cpp could not load the result.
void save_gguf(const Model& original, const Tokenizer& tokenizer, const std::filesystem::path& path,
               std::optional<Encoding> dtype, const ChatInfo& chat = {});

// Whether an unmodified checkpoint of the model's family can express it (docs/file_format.md).
bool is_plain(const Model& model);

}  // namespace pare
