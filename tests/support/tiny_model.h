// A small random model in memory: what the tests of the upper rungs run on.
#pragma once

#include <vector>

#include "model/model.h"

namespace pare::test {

// The defaults have grouped KV heads, a tied head and no biases.
struct TinyModelOptions {
  int64_t vocab = 64;
  int64_t width = 32;
  int64_t layers = 2;
  int64_t heads = 4;
  int64_t kv_heads = 2;
  int64_t head_dim = 8;
  int64_t intermediate = 48;
  int64_t max_positions = 128;
  bool tied = true;
  bool biases = false;  // on every linear
  uint64_t seed = 1;
  const char* architecture = "llama";
  BlockDesign design = {};
  int64_t rotary_dim = -1;  // −1: all of head_dim
  bool learned_positions = false;
  bool head_bias = false;
  int64_t embedding_width = 0;  // 0: width; else matrices stand between it and the layers, at both ends
  bool final_norm = true;
};

// What OPT is made of: layer norms, relu without a gate, learned positions, biases.
TinyModelOptions opt_like();
// What Phi is made of: one stage a block, gelu without a gate, half of each head rotated, biases, head too.
TinyModelOptions phi_like();
// What Qwen3 is made of: norms of each head's queries and keys, heads wider than their share.
TinyModelOptions qwen3_like();
// What OLMo-2 is made of: norms behind the branches and of all queries and keys.
TinyModelOptions olmo2_like();
// What OPT-350m is made of: OPT with norms behind the sums, none behind the layers, a narrower embedding.
TinyModelOptions post_norm_like();

// All of these, and the defaults without and with biases.
std::vector<TinyModelOptions> every_design();

// Weights are normal with variance 1/in, norms and biases random around 1 and 0; f32, seeded. The embedding
// is wide enough for logits of an ordinary spread. Token 0 is BOS, token 1 EOS.
Model make_tiny_model(const TinyModelOptions& options = {});

}  // namespace pare::test
