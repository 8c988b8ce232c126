// Description of a checkpoint beside its weights: its name, its authors, its licence terms.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "io/gguf.h"

namespace pare {

struct ModelAbout {
  std::string name = {};        // for people; never a path
  std::string repository = {};  // id of the hub, where it is known
  std::string author = {};
  std::string organization = {};
  std::string version = {};
  std::string description = {};
  std::string finetune = {};    // purpose of the tuning: "Instruct"
  std::string basename = {};    // name without size, tuning and version
  std::string size_label = {};  // "135M"
  std::string license = {};     // an SPDX name in lower case, or "other" and the like
  std::string license_name = {};
  std::string license_link = {};
  std::string pipeline_tag = {};              // "text-generation"
  std::vector<std::string> base_models = {};  // models it was made of, as far as it says so: ids of the hub
  std::vector<std::string> languages = {};
  std::vector<std::string> datasets = {};
  std::vector<std::string> tags = {};
};

// Reads general.* of a GGUF file, or the front matter of a folder's README.md. Where these give no name, it
// is that of the file or folder, or of the repository whose snapshot in the hub's cache the folder is. A
// front matter that cannot be read is logged and taken for none.
ModelAbout read_about(const std::filesystem::path& model_path);

// Keys of a card's front matter, "model_author" and the like, with the texts that read_about takes from
// there.
std::vector<std::pair<std::string, std::string>> card_texts(const ModelAbout& about);

// Base models that a model made of this one names: its repository, else the models it was made of itself,
// else its name, which is no id.
std::vector<std::string> origins_of(const ModelAbout& about);

// Metadata general.* for a GGUF file made of a model: of a GGUF file all but the keys that describe
// that file's own tensors; of a folder the findings of read_about.
std::vector<GgufEntry> general_entries(const std::filesystem::path& model_path);

}  // namespace pare
