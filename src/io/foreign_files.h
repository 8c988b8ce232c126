// Files and folders that hold a model, or a part of one, in a way that pare does not read.
#pragma once

#include <filesystem>
#include <string>

namespace pare {

// Says what a folder without readable weights, or without config.json, holds instead and what to do about it,
// as the end of a sentence that begins with the folder's name: "is a LoRA adapter: merge it …". Empty when it
// holds nothing that is known. Throws kIo when the folder cannot be listed.
std::string describe_foreign_folder(const std::filesystem::path& folder);

// Says as describe_foreign_folder what a file holds that is given as a model and is no GGUF file by its name.
std::string describe_foreign_file(const std::filesystem::path& file);

}  // namespace pare
