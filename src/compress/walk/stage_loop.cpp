#include "compress/walk/stage_loop.h"

#include <algorithm>

#include "base/log.h"

namespace pare {

StageLoop::StageLoop(WorkArea& area, std::string name, std::vector<MovedByLoop> moved, Report* report)
    : area_(area), name_(std::move(name)), moved_(std::move(moved)), report_(report) {
  if (report_ != nullptr) mark_ = mark(*report_);
  steps_ = area_.finished(name_);
  if (is_new() || restore(*area_.find(step(steps_ - 1)))) return;
  log_warning(
      "the activations of the interrupted run did not survive: this part of the calibration begins again");
  area_.forget_steps(name_);
  steps_ = 0;
}

std::string StageLoop::step(size_t i) const { return fmt::format("{}/{}", name_, i); }

bool StageLoop::restore(const Json& record) const {
  return std::all_of(moved_.begin(), moved_.end(), [&](const MovedByLoop& moved) {
    return moved.restore(record.at("position").at(moved.name));
  });
}

Json StageLoop::positions() const {
  Json positions = Json::object();
  for (const MovedByLoop& moved : moved_) positions[moved.name] = moved.position();
  return positions;
}

void StageLoop::begin() {
  PARE_CHECK(is_new());
  area_.record(step(0), {{"position", positions()}});
  steps_ = 1;
}

size_t StageLoop::done() const {
  PARE_CHECK(!is_new());
  return steps_ - 1;
}

const Json* StageLoop::finished(size_t stage) {
  if (stage >= done()) return nullptr;
  const Json* record = area_.find(step(stage + 1));
  if (report_ != nullptr) {
    add_entries(*report_, record->at("entries"));
    mark_ = mark(*report_);
  }
  return record;
}

void StageLoop::record(size_t stage, Json extra) {
  PARE_CHECK(stage == done());
  extra["position"] = positions();
  if (report_ != nullptr) {
    extra["entries"] = entries_since(*report_, mark_);
    mark_ = mark(*report_);
  }
  area_.record(step(stage + 1), std::move(extra));
  ++steps_;
}

}  // namespace pare
