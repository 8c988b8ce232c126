// What the files of a model say twice and not alike.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "model/config.h"
#include "text/tokenizer/tokenizer.h"

namespace pare {

// A sentence for each, which says what every file has and which one counts: the beginning and the ends of a
// text, special tokens, the family, the size of the vocabulary. Of what loading a model warns of (rotary
// scaling, weights, a head beside a tie) nothing is said again. `tokenizer`: the model's; null: it cannot be
// read, and nothing is said of it. Throws kFormat when a file is broken.
std::vector<std::string> disagreements(const std::filesystem::path& model_path, const ModelConfig& config,
                                       const Tokenizer* tokenizer);

}  // namespace pare
