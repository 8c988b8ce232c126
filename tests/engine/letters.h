// A tokenizer for tiny models: one printable character a token.
#pragma once

#include "text/tokenizer/tokenizer.h"

namespace pare::test {

inline constexpr int64_t kLetters = 64;

// Ids 0 and 1 are <bos> and <eos>, as in the tiny model; the others are '@', 'A', ….
inline Tokenizer letter_tokenizer() {
  TokenizerSpec spec;
  spec.vocab = {"<bos>", "<eos>"};
  for (char c = '@'; spec.vocab.size() < kLetters; ++c) spec.vocab.emplace_back(1, c);
  for (int32_t id = 0; id < 2; ++id)
    spec.added.push_back({.text = spec.vocab[static_cast<size_t>(id)], .id = id, .special = true});
  return Tokenizer(spec);
}

}  // namespace pare::test
