// Writes README.md of a folder: what the hub and people need to know of the model in it.
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
  ModelSize size = {};                    // size of the written model
  StorageFormat format = StorageFormat::kPlain;
  bool own_code = false;  // transformers needs trust_remote_code
};

// Returns the card: front matter, recipe, sizes and errors before and after, how to load it. It omits
// the run (times, paths), so equal models have equal cards.
std::string model_card(const CardFacts& facts);

// Copies the documents that every output gets (carry_documents) and writes the card. `facts`: all fields but
// those about the original and the carried documents. Throws kIo.
void write_documents(const std::filesystem::path& input, const std::filesystem::path& folder,
                     CardFacts facts);

}  // namespace pare
