#include "compress/walk/stage_losses.h"

#include <algorithm>
#include <optional>

#include "base/parallel.h"
#include "compress/walk/sample_split.h"
#include "kernels/log_sum_exp.h"

namespace pare {
namespace {

int64_t sequences_of(const CalibrationSet& set) { return static_cast<int64_t>(set.sequences.size()); }

}  // namespace

StageLosses::StageLosses(const Model& model, const CalibrationSet& set, int64_t max_variants, WorkArea& area,
                         const std::string& name)
    : model_(model),
      set_(set),
      comm_(area.comm()),
      rope_(sequence_rope(model.config, sequences_of(set), set.seqlen())),
      streams_(area, name, model.config, (1 + share_of(max_variants, area.comm().size())) * set.tokens()) {}

void StageLosses::start() {
  std::vector<int32_t> tokens;
  for (const auto& sequence : set_.sequences) tokens.insert(tokens.end(), sequence.begin(), sequence.end());
  const PackedEmbedding embedding(model_, ComputeType::kBF16);
  streams_.write(
      0, download(first_stream(embedding, tokens, sequence_positions(sequences_of(set_), set_.seqlen())))
             .matrix());
  streams_.advance(embedding.width(), set_.tokens());
}

Json StageLosses::position() const { return {{"streams", streams_.position()}, {"variants", variants_}}; }

bool StageLosses::restore(const Json& position) {
  variants_ = position.at("variants").get<int64_t>();
  return streams_.restore(position.at("streams"));
}

Matrix<float> StageLosses::run(const PackedStage& stage, MatrixView<const float> x) const {
  return run_sequences(stage, x, set_.seqlen(), rope_);
}

void StageLosses::advance(const Stage& stage, std::span<const Stage> variants) {
  streams_.begin_stage();
  int64_t held = copies();
  const PackedStage packed = pack_stage(stage, streams_.width(), ComputeType::kBF16);
  for (int64_t copy = 0; copy < held; ++copy) {
    streams_.write(copy * set_.tokens(), run(packed, stream(copy)));
    if (copy > 0) streams_.release(stream(copy));
  }
  for (const Stage& variant : variants)
    if (variants_++ % comm_.size() == comm_.rank())
      streams_.write(held++ * set_.tokens(),
                     run(pack_stage(variant, streams_.width(), ComputeType::kBF16), stream(0)));
  streams_.advance(packed.width_out, held * set_.tokens());
}

// Returns the last stage's output at probed positions [first, first + count).
Matrix<float> StageLosses::probed_rows(int64_t copy, int64_t first, int64_t count) const {
  const MatrixView<const float> x = stream(copy);
  Matrix<float> probed(count, x.cols);
  for (int64_t r = 0; r < count; ++r) std::copy_n(x.row((first + r) * kProbeStride), x.cols, probed.row(r));
  return probed;
}

std::vector<double> StageLosses::losses() const {
  std::vector<double> own = own_losses();
  own.resize(static_cast<size_t>(share_of(variants_, comm_.size())));
  std::vector<std::vector<double>> of_ranks;
  for (int rank = 0; rank < comm_.size(); ++rank) {
    of_ranks.push_back(own);
    comm_.broadcast(rank, bytes_of(of_ranks.back().data(), static_cast<int64_t>(own.size())));
  }
  std::vector<double> all;
  for (int64_t v = 0; v < variants_; ++v)
    all.push_back(of_ranks[static_cast<size_t>(v % comm_.size())][static_cast<size_t>(v / comm_.size())]);
  return all;
}

std::vector<double> StageLosses::own_losses() const {
  const PackedHead head(model_, ComputeType::kBF16);
  const int64_t positions = (set_.tokens() + kProbeStride - 1) / kProbeStride;
  const int64_t vocab = head.logits->out_features();
  const auto row_of = [&](const Matrix<float>& m, int64_t r) {
    return std::span<const float>(m.row(r), static_cast<size_t>(vocab));
  };
  const auto logits = [&](int64_t copy, int64_t first, int64_t count) {
    const Activation hidden = head_input(head, head.backend->upload(probed_rows(copy, first, count)));
    const Activation result = head.backend->allocate(count, vocab);
    head.logits->apply(hidden, result);
    return download(result).matrix();
  };
  std::vector<double> sums(static_cast<size_t>(copies() - 1), 0.0);
  for (int64_t first = 0; first < positions; first += kProbeRowsAtOnce) {
    const int64_t count = std::min(kProbeRowsAtOnce, positions - first);
    const Matrix<float> x = logits(0, first, count);
    std::vector<std::optional<ReferenceRow>> dense(static_cast<size_t>(count));
    parallel_for(count, [&](int64_t r) { dense[static_cast<size_t>(r)].emplace(row_of(x, r)); });
    std::vector<double> rows(static_cast<size_t>(count));
    for (int64_t copy = 1; copy < copies(); ++copy) {
      const Matrix<float> y = logits(copy, first, count);
      parallel_for(count, [&](int64_t r) {
        rows[static_cast<size_t>(r)] =
            dense[static_cast<size_t>(r)]->kl(row_of(y, r), log_sum_exp(row_of(y, r)));
      });
      for (const double row : rows) sums[static_cast<size_t>(copy - 1)] += row;
    }
  }
  for (double& sum : sums) sum /= static_cast<double>(positions);
  return sums;
}

}  // namespace pare
