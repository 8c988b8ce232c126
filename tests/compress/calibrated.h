// Calibration sets, signals and comparisons for the tests of compression.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "base/rng.h"
#include "compress/exactness.h"
#include "compress/slice/streams.h"
#include "compress/solve/gram.h"
#include "compress/walk/calibration_walk.h"
#include "linalg/linalg.h"
#include "model/visit.h"
#include "support/tiny_model.h"

namespace pare::test {

// Returns the options with widths that give every linear rows of 64 or 128 values, which blocks of 32 divide.
inline TinyModelOptions wide(TinyModelOptions options = {}) {
  options.width = 64;
  options.heads = 8;
  options.kv_heads = options.kv_heads == options.heads ? 8 : 4;
  options.intermediate = 128;
  return options;
}

inline CalibrationSet random_calibration(int64_t sequences, int64_t seqlen, int64_t vocab = 64,
                                         uint64_t seed = 7) {
  Rng rng(seed);
  CalibrationSet set;
  set.source = "random";
  set.sequences.resize(static_cast<size_t>(sequences));
  for (auto& sequence : set.sequences)
    for (int64_t t = 0; t < seqlen; ++t)
      sequence.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocab))));
  return set;
}

// Every byte of a model's tensors.
inline std::string all_bytes(const Model& model) {
  std::string bytes;
  for_each_tensor(
      model,
      [&](const TensorPlace&, const Weight& weight) {
        for (const auto& part : weight.parts())
          bytes.append(reinterpret_cast<const char*>(part.data()), part.size());
      },
      [&](const TensorPlace&, const std::vector<float>& vector) {
        bytes.append(reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float));
      });
  return bytes;
}

// Signals of stage `wanted` on the calibration tokens: `stream`, the input of its stream's reader, (tokens,
// stream_columns), and `branch`, the output of its branch.
struct StageSignals {
  Matrix<float> stream;
  Matrix<float> branch;  // (tokens, width): output of the branch to the residual stream
  Matrix<double> gram;
};

inline StageSignals signals_of(const Model& model, const CalibrationSet& set, size_t block, size_t stage) {
  WorkArea area;
  CalibrationWalk walk(set, model.config, area, "walk", ComputeType::kF32);
  walk.start(model);
  const size_t stages = model.blocks.front().stages.size();
  for (size_t i = 0; i < block * stages + stage; ++i)
    walk.run(model.blocks[i / stages].stages[i % stages], "before");
  const Stage& target = model.blocks[block].stages[stage];
  const Signal kind =
      stream_kind(target) == StreamKind::kHidden ? Signal::kHiddenStream : Signal::kValueStream;
  StageSignals result;
  result.stream = Matrix<float>(walk.tokens(), stream_columns(target));
  result.branch = Matrix<float>(walk.tokens(), model.config.stream_width());
  result.gram = Matrix<double>::zeros(stream_columns(target), stream_columns(target));
  int64_t streamed = 0;
  int64_t branched = 0;
  const Observer observer = [&](Signal signal, const Activation& activation) {
    const HostRows host = download(activation);
    const MatrixView<const float> x = host.view();
    if (signal == kind) {
      gram_accumulate(x, nullptr, result.gram.view());
      for (int64_t r = 0; r < x.rows; ++r) std::copy_n(x.row(r), x.cols, result.stream.row(streamed++));
    } else if (signal == Signal::kBranchOutput) {
      for (int64_t r = 0; r < x.rows; ++r) std::copy_n(x.row(r), x.cols, result.branch.row(branched++));
    }
  };
  walk.run(target, "target", {observer, {}, {}});
  mirror_lower(result.gram.view());
  return result;
}

// The whole residual stream of a walk, (tokens, width).
inline Matrix<float> stream_of(const CalibrationWalk& walk) {
  const int64_t width = walk.stream(0).cols;
  Matrix<float> all(walk.tokens(), width);
  for (int64_t s = 0; s < walk.sequences(); ++s)
    for (int64_t t = 0; t < walk.seqlen(); ++t)
      std::copy_n(walk.stream(s).row(t), width, all.row(s * walk.seqlen() + t));
  return all;
}

// max |a − b| / max |a| of the logits of the two models on the set's first tokens.
inline double logit_difference(const Model& a, const Model& b, const CalibrationSet& set) {
  return relative_difference(probe_logits(a, set).view(), probe_logits(b, set).view());
}

// Sets the number of threads for one scope.
class WithThreads {
 public:
  explicit WithThreads(int n) : old_(thread_count()) { set_thread_count(n); }
  ~WithThreads() { set_thread_count(old_); }
  WithThreads(const WithThreads&) = delete;
  WithThreads& operator=(const WithThreads&) = delete;

 private:
  int old_;
};

}  // namespace pare::test
