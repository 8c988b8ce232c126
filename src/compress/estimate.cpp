#include "compress/estimate.h"

#include "base/rng.h"

namespace pare {

std::vector<std::vector<int32_t>> random_sequences(const ModelConfig& config, int64_t count, int64_t seqlen) {
  std::vector<std::vector<int32_t>> sequences(static_cast<size_t>(count));
  Rng rng(0);
  for (auto& sequence : sequences)
    for (int64_t t = 0; t < seqlen; ++t)
      sequence.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(config.vocab_size))));
  return sequences;
}

}  // namespace pare
