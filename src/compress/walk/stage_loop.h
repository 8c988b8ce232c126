// A loop over the stages of a model that continues where an interrupted run has stopped.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "compress/report.h"
#include "compress/resume/work_area.h"

namespace pare {

// Something that the loop moves from stage to stage and that can return to an earlier stage: a
// CalibrationWalk, a StageLosses.
struct MovedByLoop {
  std::string name;  // name in the records
  std::function<Json()> position;
  std::function<bool(const Json& position)> restore;

  // Keeps a reference to `walk`.
  template <typename Walk>
  MovedByLoop(std::string as, Walk& walk)
      : name(std::move(as)),
        position([&walk] { return walk.position(); }),
        restore([&walk](const Json& at) { return walk.restore(at); }) {}
};

// The records of a loop over stages. NAME/0 says that the loop has begun, NAME/1 that the first stage is
// finished, and so on. Each holds the positions of all that is moved. The caller writes the loop:
//
//   StageLoop loop(area, "stages", {{"walk", walk}}, &report);
//   if (loop.is_new()) {
//     walk.start(model);
//     loop.begin();
//   }
//   for (size_t s = 0; s < count; ++s) {
//     if (const Json* record = loop.finished(s)) {
//       …  // take the result of stage s from the interrupted run
//       continue;
//     }
//     …  // work on stage s
//     loop.record(s, …);
//   }
//
// All ranks call everything in the same order.
class StageLoop {
 public:
  // Finds the finished stages, and moves everything behind them. If that does not succeed, because
  // activations did not survive, the loop is new: a warning says so. `report`: null, or the report that the
  // work adds entries to; those of a stage are kept in its record.
  StageLoop(WorkArea& area, std::string name, std::vector<MovedByLoop> moved = {}, Report* report = nullptr);

  // Returns whether the loop has not begun yet: the caller starts all that is moved, then calls begin().
  bool is_new() const { return steps_ == 0; }
  void begin();
  // Returns the number of finished stages. The loop must have begun.
  size_t done() const;
  // Returns the record of a finished stage, whose entries are added to the report; null for another stage.
  // Is called once for every stage.
  const Json* finished(size_t stage);
  // Records that the stage is finished, with `extra` for finished() of a later run. Is called for the first
  // that is not finished.
  void record(size_t stage, Json extra = Json::object());

 private:
  std::string step(size_t i) const;
  bool restore(const Json& record) const;
  Json positions() const;

  WorkArea& area_;
  std::string name_;
  std::vector<MovedByLoop> moved_;
  Report* report_;
  ReportMark mark_;   // entries behind it belong to the current stage
  size_t steps_ = 0;  // number of recorded steps
};

}  // namespace pare
