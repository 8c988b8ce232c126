// Files of a checkpoint beside its weights: tokenizer, special tokens, chat template.
#pragma once

#include <filesystem>
#include <string>

namespace pare {

// Puts the tokenizer files of a model into an existing folder. From a Hugging Face folder they are copied
// byte by byte, those that are there, but absolute paths in tokenizer_config.json; from a GGUF file they are
// written anew. Throws kIo, and what
// load_tokenizer throws for a GGUF file.
void copy_tokenizer_files(const std::filesystem::path& model_path, const std::filesystem::path& folder);

// Reads pare.json of a folder, or the same text in the metadata of a GGUF file: what pare did to the model.
// Empty when there is none. Calibration texts have no folders in it. Throws kFormat when it is not JSON.
inline constexpr const char* kManifestFile = "pare.json";
inline constexpr const char* kManifestKey = "pare.manifest";
std::string read_manifest(const std::filesystem::path& model_path);

}  // namespace pare
