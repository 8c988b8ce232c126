#include "compress/calibration_walk.h"

#include <cmath>
#include <cstring>
#include <numeric>

namespace pare {
namespace {

RopeTable sequence_rope(const ModelConfig& config, int64_t seqlen) {
  std::vector<int64_t> positions(static_cast<size_t>(seqlen));
  std::iota(positions.begin(), positions.end(), 0);
  return make_rope_table(config.rope, config.head_dim, positions);
}

}  // namespace

CalibrationWalk::CalibrationWalk(const CalibrationSet& set, const ModelConfig& config)
    : set_(set),
      rope_(sequence_rope(config, set.seqlen())),
      seqlen_(set.seqlen()),
      sequences_(static_cast<int64_t>(set.sequences.size())) {}

void CalibrationWalk::start(const Weight& embedding) {
  stream_ = Matrix<float>(tokens(), embedding.cols);
  for (int64_t s = 0; s < sequences_; ++s) {
    const Matrix<float> x = embed(embedding, set_.sequences[static_cast<size_t>(s)]);
    std::memcpy(stream_.row(s * seqlen_), x.data(), static_cast<size_t>(x.size()) * sizeof(float));
  }
}

void CalibrationWalk::replace_stream(Matrix<float> stream) {
  PARE_CHECK(stream.rows() == tokens());
  stream_ = std::move(stream);
}

void CalibrationWalk::run(const Stage& stage, const std::string& label, const Observer& observer) {
  stream_ = peek(stage, label, observer);
}

Matrix<float> CalibrationWalk::peek(const Stage& stage, const std::string& label,
                                    const Observer& observer) const {
  const PackedStage packed = pack_stage(stage, stream_.cols(), ComputeType::kF32);
  std::vector<KvLayer> kv;
  for (const auto& branch : packed.branches)
    if (const auto* attention = std::get_if<PackedAttention>(&branch)) kv.emplace_back(*attention, seqlen_);
  Segment segment{0, seqlen_, 0, kv.empty() ? nullptr : &kv.front()};
  Matrix<float> out(tokens(), packed.width_out);
  for (int64_t s = 0; s < sequences_; ++s) {
    const Matrix<float> y = forward_stage(packed, stream_.view().rows_of(s * seqlen_, seqlen_),
                                          std::span(&segment, 1), rope_, observer);
    for (int64_t i = 0; i < y.size(); ++i)
      if (!std::isfinite(y.data()[i]))
        fail(ErrorCode::kNumeric, "{}: activations hold a NaN or an infinity", label);
    std::memcpy(out.row(s * seqlen_), y.data(), static_cast<size_t>(y.size()) * sizeof(float));
  }
  return out;
}

}  // namespace pare
