#include "compress/walk/calibration_walk.h"

#include "kernels/backend.h"

namespace pare {
namespace {

void require_finite(const Activation& x, const std::string& label) {
  if (!x.backend().all_finite(x))
    fail(ErrorCode::kNumeric, "{}: activations hold a NaN or an infinity", label);
}

}  // namespace

ComputeType calibration_compute() { return default_backend().calibration_compute(); }

CalibrationWalk::CalibrationWalk(const CalibrationSet& set, const ModelConfig& config, WorkArea& area,
                                 const std::string& name, ComputeType compute)
    : set_(set),
      split_(area.comm(), static_cast<int64_t>(set.sequences.size())),
      rope_(sequence_rope(config, 1, set.seqlen())),
      compute_(compute),
      seqlen_(set.seqlen()),
      streams_(area, name, config, tokens()) {}

void CalibrationWalk::start(const Model& model, const std::function<void(MatrixView<float>)>& prepare) {
  const std::vector<int64_t> positions = sequence_positions(1, seqlen_);
  const PackedEmbedding embedding(model, compute_);
  for (int64_t s = 0; s < sequences(); ++s) {
    Matrix<float> x =
        download(first_stream(embedding, set_.sequences[static_cast<size_t>(split_.first() + s)], positions))
            .matrix();
    if (prepare) prepare(x.view());
    streams_.write(s * seqlen_, x);
  }
  streams_.advance(embedding.width(), tokens());
}

MatrixView<const float> CalibrationWalk::stream(int64_t sequence) const {
  return streams_.read(sequence * seqlen_, seqlen_);
}

Matrix<float> CalibrationWalk::first_tokens(int64_t count) const {
  Matrix<float> x(count, streams_.width());
  const int owner = split_.owner(0);
  if (split_.comm().rank() == owner) x = copy_of(stream(0).rows_of(0, count));
  split_.comm().broadcast(owner, bytes_of(x.data(), x.size()));
  return x;
}

void CalibrationWalk::run(const Stage& stage, const std::string& label, const StageWatch& watch) {
  run(stage, label, watch, true);
}

void CalibrationWalk::peek(const Stage& stage, const std::string& label, const StageWatch& watch) {
  run(stage, label, watch, false);
}

void CalibrationWalk::run(const Stage& stage, const std::string& label, const StageWatch& watch, bool store) {
  streams_.begin_stage();
  const PackedStage packed = pack_stage(stage, streams_.width(), compute_);
  const KvStores kv = kv_of(packed, 1, seqlen_);
  const Segment segment{0, seqlen_, 0, kv.empty() ? nullptr : kv.front().get()};
  for (int64_t s = 0; s < sequences(); ++s) {
    const MatrixView<const float> x = stream(s);
    Matrix<float> prepared;
    if (watch.prepare) {
      prepared = copy_of(x);
      watch.prepare(prepared.view());
    }
    const MatrixView<const float> in = watch.prepare ? std::as_const(prepared).view() : x;
    Activation out =
        forward_stage(packed, packed.backend->borrow(in), std::span(&segment, 1), rope_, watch.observer);
    require_finite(out, label);
    const Matrix<float> y = download(std::move(out)).matrix();
    if (watch.output) watch.output(y.view());
    streams_.release(x);
    if (store) streams_.write(s * seqlen_, y);
  }
  if (store) streams_.advance(packed.width_out, tokens());
}

void CalibrationWalk::correct(const std::string& label, const Weight& change, const ActivationFile& inputs) {
  const auto packed = pack_linear(change, calibration_compute());
  for (int64_t s = 0; s < sequences(); ++s) {
    const MatrixView<float> rows = streams_.change(s * seqlen_, seqlen_);
    const MatrixView<const float> x = inputs.rows(s * seqlen_, seqlen_, change.cols);
    Matrix<float> correction(rows.rows, rows.cols);
    packed->apply(x, correction.view());
    for (int64_t r = 0; r < rows.rows; ++r)
      for (int64_t c = 0; c < rows.cols; ++c) rows(r, c) += correction(r, c);
    inputs.release(x);
    require_finite(default_backend().borrow(rows), label);
    streams_.release(rows);
  }
}

int64_t own_tokens(const CalibrationSet& set, const WorkArea& area) {
  return SampleSplit(area.comm(), static_cast<int64_t>(set.sequences.size())).count() * set.seqlen();
}

Matrix<float> run_stage(const Stage& stage, MatrixView<const float> x, const ModelConfig& config,
                        ComputeType compute) {
  return run_sequences(pack_stage(stage, x.cols, compute), x, x.rows, sequence_rope(config, 1, x.rows));
}

}  // namespace pare
