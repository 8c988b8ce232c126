// Tokenizers whose ids are bytes, then the joins of merges.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "text/tokenizer/byte_alphabet.h"
#include "text/tokenizer/tokenizer.h"

namespace pare::test {

// All 256 bytes (id = byte), then the joins of the merges.
inline TokenizerSpec byte_spec(std::vector<std::pair<std::string, std::string>> merges = {}) {
  TokenizerSpec spec;
  for (int byte = 0; byte < 256; ++byte)
    spec.vocab.push_back(to_alphabet(std::string(1, static_cast<char>(byte))));
  for (auto& [left, right] : merges) {
    left = to_alphabet(left);
    right = to_alphabet(right);
    spec.vocab.push_back(left + right);
  }
  spec.merges = std::move(merges);
  return spec;
}

inline Tokenizer byte_tokenizer(std::vector<std::pair<std::string, std::string>> merges = {},
                                std::vector<int32_t> prefix = {}) {
  TokenizerSpec spec = byte_spec(std::move(merges));
  spec.prefix = std::move(prefix);
  return Tokenizer(std::move(spec));
}

}  // namespace pare::test
