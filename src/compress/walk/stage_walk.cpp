#include "compress/walk/stage_walk.h"

#include <algorithm>
#include <optional>

#include "compress/walk/stage_loop.h"
#include "model/stage_at.h"
#include "model/visit.h"

namespace pare {
namespace {

std::string activity_of(const StageEditors& editors) {
  std::string all;
  for (const auto& editor : editors) all += (all.empty() ? "" : ", ") + editor->activity();
  return all;
}

int64_t widest_output(const ModelConfig& config) {
  int64_t widest = 0;
  for (const BlockShape& block : config.blocks)
    widest = std::max({widest, block.attention_output_width, block.output_width});
  return widest;
}

// Moves the walk of the unchanged model behind a stage. The input of a norm behind the stage's branch or sum
// is kept in `sums`: a changed linear can bring about that input, not the stream.
void run_dense(CalibrationWalk& dense, const Stage& stage, const std::string& label, ActivationFile& sums) {
  if (stage.norm_place == NormPlace::kInput || stage.branches.empty()) return dense.run(stage, label);
  PARE_CHECK(stage.branches.size() == 1);
  const auto skip = stage.skip.empty() ? nullptr : pack_linear(stage.skip, ComputeType::kF32);
  Matrix<float> sum;
  int64_t seen = 0;
  const auto observe = [&](Signal signal, const Activation& activation) {
    if (signal != Signal::kStageInput && signal != Signal::kBranchOutput) return;
    const HostRows host = download(activation);
    const MatrixView<const float> x = host.view();
    if (signal == Signal::kStageInput) sum = carried(stage, skip.get(), x);
    if (signal != Signal::kBranchOutput) return;
    const MatrixView<float> to = sums.rows(seen, x.rows, x.cols);
    for (int64_t r = 0; r < x.rows; ++r)
      for (int64_t c = 0; c < x.cols; ++c) to(r, c) = sum(r, c) + x(r, c);
    sums.release(to);
    seen += x.rows;
  };
  dense.run(stage, label, {observe, {}, {}});
}

}  // namespace

Matrix<float> carried(const Stage& stage, const PackedLinear* skip, MatrixView<const float> x) {
  const int64_t width = skip != nullptr ? skip->out_features() : x.cols;
  if (stage.norm_place == NormPlace::kBranch) return Matrix<float>::zeros(x.rows, width);
  Matrix<float> result(x.rows, width);
  if (skip != nullptr)
    skip->apply(x, result.view());
  else
    for (int64_t r = 0; r < x.rows; ++r) std::copy_n(x.row(r), width, result.row(r));
  return result;
}

MatrixView<const float> StageStreams::target(const Stage& stage, int64_t sequence) const {
  const MatrixView<const float> stream = dense->stream(sequence);
  if (stage.norm_place == NormPlace::kInput) return stream;
  return sums->rows(sequence * walk.seqlen(), stream.rows, stream.cols);
}

Model edit_stages(const Model& original, const CalibrationSet& set, const StageEditors& editors,
                  WorkArea& area, Report& report, const PassProgress& progress) {
  PARE_CHECK(!editors.empty());
  Model model = original;
  CalibrationWalk walk(set, model.config, area, "walk");
  std::optional<CalibrationWalk> dense;
  const Model* target = nullptr;  // null: the model as it was
  for (const auto& editor : editors)
    if (editor->target_model() != nullptr) target = editor->target_model();
  const ModelConfig dense_config = target != nullptr ? target->config : model.config;
  if (std::any_of(editors.begin(), editors.end(), [](const auto& editor) { return editor->needs_dense(); }))
    dense.emplace(set, dense_config, area, "dense");
  ActivationFile sums;
  const bool keeps_sums = dense && dense_config.design.norm_place != NormPlace::kInput;
  if (keeps_sums) sums = area.stream("dense-sums", walk.tokens() * widest_output(dense_config));
  const StageStreams streams = {walk, dense ? &*dense : nullptr, keeps_sums ? &sums : nullptr};
  std::vector<MovedByLoop> moved = {{"walk", walk}};
  if (dense) moved.emplace_back("dense", *dense);
  StageLoop loop(area, "stages", std::move(moved), &report);
  if (loop.is_new()) {
    walk.start(model);
    if (dense) dense->start(target != nullptr ? *target : model);
    loop.begin();
  }
  const std::string activity = activity_of(editors);
  const size_t per_block = model.blocks.front().stages.size();
  const size_t count = stage_count(model);
  for (size_t s = 0; s < count; ++s) {
    Stage& stage = stage_at(model, s);
    const std::string file = fmt::format("stage-{}", s);
    if (loop.finished(s) != nullptr) {
      stage = area.kept(file, stage);
      continue;
    }
    if (progress) progress(activity, static_cast<int64_t>(s), static_cast<int64_t>(count));
    for (const auto& editor : editors) stage = editor->rearranged(stage);
    if (dense)
      run_dense(*dense, target != nullptr ? stage_at(*target, s) : stage,
                fmt::format("layer {}", s / per_block), sums);
    for (const auto& editor : editors)
      stage = editor->edit(stage, {s, static_cast<int64_t>(s / per_block)}, streams, editor == editors.back(),
                           report);
    stage = area.keep(file, stage);
    // No pass reads either stage again before the result is written.
    release_pages(stage);
    release_pages(stage_at(original, s));
    loop.record(s);
  }
  update_config(model);
  return model;
}

}  // namespace pare
