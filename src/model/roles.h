// The parts every decoder is made of, whatever its tensors are called.
#pragma once

#include <string_view>

namespace pare {

enum class Role {
  kEmbedding,           // (vocab, width)
  kEmbeddingTransform,  // matrix between the embedding and the residual stream
  kPositions,           // (positions, width)
  kAttentionNorm,       // norm of the attention stage, or of the only stage of a parallel block
  kQuery,
  kKey,
  kValue,
  kQueryNorm,
  kKeyNorm,
  kAttentionOutput,
  kAttentionSkip,  // residual matrix beside the attention stage
  kMlpNorm,
  kGate,
  kUp,
  kDown,
  kMlpSkip,
  kFinalNorm,
  kHeadTransform,  // matrix between the final norm and the head
  kHead,           // (vocab, width)
};

// Short lower-case name, as --targets and reports spell it: "q", "o", "down", …
constexpr std::string_view role_name(Role role) {
  constexpr std::string_view kNames[] = {"embedding",
                                         "embedding_transform",
                                         "positions",
                                         "attention_norm",
                                         "q",
                                         "k",
                                         "v",
                                         "q_norm",
                                         "k_norm",
                                         "o",
                                         "attention_skip",
                                         "mlp_norm",
                                         "gate",
                                         "up",
                                         "down",
                                         "mlp_skip",
                                         "final_norm",
                                         "head_transform",
                                         "head"};
  return kNames[static_cast<int>(role)];
}

}  // namespace pare
