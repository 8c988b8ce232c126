// Running models in tests, and the stored results of others.
#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "base/rng.h"
#include "checkpoint/load.h"
#include "io/safetensors.h"
#include "runtime/forward.h"

namespace pare::test {

inline std::filesystem::path golden_folder(const std::string& name) {
  return std::filesystem::path(PARE_GOLDEN_DIR) / name;
}

// Folders of tiny models of every kind that have goldens.
inline constexpr const char* kGoldenCases[] = {"llama/mha",
                                               "llama/gqa-tied",
                                               "llama/bias",
                                               "llama/rope-linear",
                                               "llama/rope-llama3",
                                               "llama/rope-llama3-older",
                                               "llama/minimal-config",
                                               "llama/sharded",
                                               "llama/bf16",
                                               "llama/f16",
                                               "llama/rope-yarn",
                                               "llama/rope-yarn-older",
                                               "llama/rope-longrope",
                                               "llama/rope-longrope-short",
                                               "llama/rope-dynamic",
                                               "mistral/window",
                                               "mistral/no-window",
                                               "mistral/minimal-config",
                                               "qwen2/gqa",
                                               "qwen2/tied",
                                               "opt/relu",
                                               "opt/untied-gelu",
                                               "opt/bare-linears",
                                               "opt/no-prefix",
                                               "opt/post-norm",
                                               "opt/post-norm-untied",
                                               "opt/no-final-norm",
                                               "qwen3/gqa",
                                               "qwen3/tied-bias",
                                               "qwen3/minimal-config",
                                               "olmo2/mha",
                                               "olmo2/gqa-tied",
                                               "olmo2/minimal-config",
                                               "phi/half-rotary",
                                               "phi/quarter-rotary-gqa",
                                               "phi/minimal-config",
                                               "sliced/all-streams",
                                               "sliced/block-rotation",
                                               "sliced/global-rotation",
                                               "sliced/first-layer-bare",
                                               "sliced/opt-rotated",
                                               "sliced/opt-streams",
                                               "sliced/phi-rotated",
                                               "sliced/phi-streams",
                                               "sliced/qwen3-rotated",
                                               "sliced/olmo2-streams",
                                               "sliced/opt-post-norm",
                                               "sliced/rope-yarn",
                                               "sliced/rope-longrope",
                                               "sliced/rope-dynamic"};

struct Golden {
  std::vector<int32_t> tokens;
  Matrix<float> logits;
  double spread = 0.0;  // standard deviation of the logits
};

inline double standard_deviation(const Matrix<float>& values) {
  double sum = 0.0;
  double squares = 0.0;
  for (int64_t i = 0; i < values.size(); ++i) {
    sum += values.data()[i];
    squares += static_cast<double>(values.data()[i]) * values.data()[i];
  }
  const auto n = static_cast<double>(values.size());
  return std::sqrt(squares / n - sum / n * (sum / n));
}

inline Golden read_golden(const std::filesystem::path& folder) {
  const SafetensorsFile file = read_safetensors(folder / "golden.safetensors");
  Golden golden;
  for (const float id : as_vector(file.tensors.at("tokens"), file.tensors.at("tokens").shape.at(0)))
    golden.tokens.push_back(static_cast<int32_t>(id));
  golden.logits = decode(as_weight(file.tensors.at("logits")));
  golden.spread = standard_deviation(golden.logits);
  return golden;
}

// Logits (tokens, vocab) of one pass over the tokens.
inline Matrix<float> run_model(const Model& model, std::span<const int32_t> tokens,
                               ComputeType compute = ComputeType::kF32) {
  const PackedModel packed(model, compute);
  KvCache cache(packed, static_cast<int64_t>(tokens.size()));
  return logits_of(packed, forward(packed, tokens, cache));
}

inline double largest_difference(const Matrix<float>& a, const Matrix<float>& b) {
  if (a.rows() != b.rows() || a.cols() != b.cols()) return INFINITY;
  double largest = 0.0;
  for (int64_t i = 0; i < a.size(); ++i) {
    const double d = std::abs(static_cast<double>(a.data()[i]) - b.data()[i]);
    if (std::isnan(d)) return d;
    largest = std::max(largest, d);
  }
  return largest;
}

inline std::vector<int32_t> some_tokens(int64_t count, int64_t vocab, uint64_t seed = 1) {
  Rng rng(seed);
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i)
    tokens.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocab))));
  return tokens;
}

}  // namespace pare::test
