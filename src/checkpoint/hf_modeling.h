// The Python files with which Hugging Face transformers loads models that no plain family member expresses.
#pragma once

#include <span>
#include <string_view>

namespace pare {

struct ModelingFile {
  std::string_view name;
  std::string_view text;
};

// Returns share/pare/hf/*.py, embedded when the program is built.
std::span<const ModelingFile> hf_modeling_files();

}  // namespace pare
