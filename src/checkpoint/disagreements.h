// Contradictions between the files of a model.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "model/config.h"
#include "text/tokenizer/tokenizer.h"

namespace pare {

// Returns a sentence for each contradiction, which says what every file has and which one counts: begin and
// ends of a text, special tokens, family, size of the vocabulary. Warnings of load_model (rotary
// scaling, weights, a head beside a tie) are not repeated. `tokenizer`: the model's; null: it cannot be
// read, and is left out. Throws kFormat when a file is broken.
std::vector<std::string> disagreements(const std::filesystem::path& model_path, const ModelConfig& config,
                                       const Tokenizer* tokenizer);

}  // namespace pare
