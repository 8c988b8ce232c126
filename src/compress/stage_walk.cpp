#include "compress/stage_walk.h"

#include <algorithm>
#include <optional>

#include "model/visit.h"

namespace pare {
namespace {

std::string activity_of(const StageEditors& editors) {
  std::string all;
  for (const auto& editor : editors) all += (all.empty() ? "" : ", ") + editor->activity();
  return all;
}

}  // namespace

Model edit_stages(const Model& original, const CalibrationSet& set, const StageEditors& editors,
                  WorkArea& area, Report& report, const PassProgress& progress) {
  PARE_CHECK(!editors.empty());
  Model model = original;
  CalibrationWalk walk(set, model.config, area, "walk");
  std::optional<CalibrationWalk> dense;
  if (std::any_of(editors.begin(), editors.end(), [](const auto& editor) { return editor->needs_dense(); }))
    dense.emplace(set, model.config, area, "dense");
  const StageStreams streams = {walk, dense ? &*dense : nullptr};
  // Where both walks are.
  const auto position = [&] {
    Json json = {{"walk", walk.position()}};
    if (dense) json["dense"] = dense->position();
    return json;
  };
  size_t done = resume_walk(area, "stages", [&](const Json& record) {
    const Json& at = record.at("position");
    return walk.restore(at.at("walk")) && (!dense || dense->restore(at.at("dense")));
  });
  if (done == 0) {
    walk.start(model);
    if (dense) dense->start(model);
    area.record("stages/0", {{"position", position()}});
    done = 1;
  }
  const std::string activity = activity_of(editors);
  const size_t per_block = model.blocks.front().stages.size();
  const size_t count = model.blocks.size() * per_block;
  for (size_t s = 0; s < count; ++s) {
    Stage& stage = model.blocks[s / per_block].stages[s % per_block];
    const std::string step = fmt::format("stages/{}", s + 1);
    const std::string file = fmt::format("stage-{}", s);
    if (s + 1 < done) {
      stage = area.kept(file, stage);
      add_entries(report, area.find(step)->at("entries"));
      continue;
    }
    if (progress) progress(activity, static_cast<int64_t>(s), static_cast<int64_t>(count));
    const ReportMark begin = mark(report);
    if (dense) dense->run(stage, fmt::format("layer {}", s / per_block));
    for (const auto& editor : editors)
      stage = editor->edit(stage, {s, static_cast<int64_t>(s / per_block)}, streams, editor == editors.back(),
                           report);
    stage = area.keep(file, stage);
    area.record(step, {{"position", position()}, {"entries", entries_since(report, begin)}});
  }
  update_config(model);
  return model;
}

}  // namespace pare
