// The walk that everything that changes stages one after the other shares.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "compress/progress.h"
#include "compress/report.h"
#include "compress/walk/calibration_walk.h"

namespace pare {

// A stage's place in the model.
struct StagePosition {
  size_t index = 0;  // among all stages
  int64_t block = 0;
};

// What a stage adds the outputs of its branches to, (tokens, width out), before a norm that may stand behind
// them: its input x, through `skip` (null: identity), or nothing where the norm is that of each branch.
Matrix<float> carried(const Stage& stage, const PackedLinear* skip, MatrixView<const float> x);

// The residual streams where a stage is about to be changed.
struct StageStreams {
  CalibrationWalk& walk;  // of the changed model, before the stage
  CalibrationWalk*
      dense;  // of the model as it was, already behind the stage; null where no editor asks for it
  // Where norms stand behind the branches: what they read in that model; else null.
  const StreamBuffer* sums = nullptr;

  // What the model as it was has where `carried` and the outputs of the stage's branches are added up, of one
  // sequence, (seqlen, width out).
  MatrixView<const float> target(const Stage& stage, int64_t sequence) const;
};

// Changes one stage after the other, in the order of the model, by what the calibration tokens show there.
class StageEditor {
 public:
  virtual ~StageEditor() = default;
  virtual std::string activity() const = 0;  // "cutting"
  virtual bool needs_dense() const { return false; }
  // The stage with its channels in the order that the editor has given to the rest of the model; what it
  // computes stays. Comes before all edits.
  virtual Stage rearranged(const Stage& stage) const { return stage; }
  // Returns the stage changed; adds to the report. The walk stays where it is, or with `advance` is left
  // behind the stage that is returned.
  virtual Stage edit(const Stage& stage, StagePosition position, const StageStreams& streams, bool advance,
                     Report& report) = 0;
};

using StageEditors = std::vector<std::unique_ptr<StageEditor>>;

// Changes every stage of the model by all editors in their order, each working on what the one before it
// made, with the calibration tokens as the stages changed before hand them on. Finished stages are kept in
// the area and not done again. Returns the model; adds the entries of all stages to the report.
Model edit_stages(const Model& original, const CalibrationSet& set, const StageEditors& editors,
                  WorkArea& area, Report& report, const PassProgress& progress = {});

}  // namespace pare
