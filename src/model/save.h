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

// `dtype`: an encodable type for every matrix; none keeps the encoding of each. Tensors are converted one at
// a time.

// Writes config.json and the weights into an existing folder, the config last; before it, unless the model is
// plain, the Python files with which transformers loads it. Norms and biases get the matrices' type when it
// holds them exactly, else f32. Block encodings become bf16; asking for one throws kUsage.
void save_hf(const Model& original, const std::filesystem::path& folder, std::optional<Encoding> dtype,
             uint64_t max_shard_bytes = kDefaultShardBytes);
// Norms and biases are f32; matrices whose rows do not divide into blocks of `dtype` become f16 or bf16,
// which is logged. `chat`: its BOS and EOS go before those of the model's config. `manifest`: the text of
// pare.json, or empty. Throws kUnsupported when an unmodified llama.cpp could not load the result, kIo also
// when the free space does not suffice.
void save_gguf(const Model& original, const Tokenizer& tokenizer, const std::filesystem::path& path,
               std::optional<Encoding> dtype, const ChatInfo& chat = {}, const std::string& manifest = {});

// Whether an unmodified checkpoint of the model's family can express it (docs/file_format.md).
bool is_plain(const Model& model);

}  // namespace pare
