// README.md of a written folder: what the hub and people need to know of the model in it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "checkpoint/about.h"
#include "checkpoint/save.h"
#include "model/model.h"

namespace pare {

struct CardFacts {
  ModelAbout original = {};
  std::vector<std::string> carried = {};  // names of the original's documents beside it
  Json manifest = nullptr;                // pare.json, null where nothing was compressed
  ModelSize size = {};                    // as it was written
  StorageFormat format = StorageFormat::kPlain;
  bool own_code = false;  // transformers needs trust_remote_code
};

// The text: front matter, recipe, sizes and errors before and after, how to load it. It says nothing of the
// run (times, paths), so equal models have equal cards.
std::string model_card(const CardFacts& facts);

// Copies what goes with a model whoever changes it (carry_documents) and writes the card. `facts`: what is
// there of it beside the original and what is carried. Throws kIo.
void write_documents(const std::filesystem::path& input, const std::filesystem::path& folder,
                     CardFacts facts);

}  // namespace pare
