// The walk that is shared by everything that changes stages one after the other.
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
  size_t index = 0;  // index among all stages
  int64_t block = 0;
};

// Returns the stream to which a stage adds the outputs of its branches, (tokens, width out), before a norm
// that may follow: its input x, through `skip` (null: identity), or nothing where each branch has its norm.
Matrix<float> carried(const Stage& stage, const PackedLinear* skip, MatrixView<const float> x);

// The residual streams where a stage is about to be changed.
struct StageStreams {
  CalibrationWalk& walk;   // walk of the changed model, before the stage
  CalibrationWalk* dense;  // walk of the model as it was, or of target_model(), already behind the stage;
                           // null where no editor asks for it
  // Inputs of norms behind the branches in that model, where there are such norms; else null.
  const ActivationFile* sums = nullptr;

  // Returns the sum of `carried` and the outputs of the stage's branches in the model as it was, of one
  // sequence, (seqlen, width out).
  MatrixView<const float> target(const Stage& stage, int64_t sequence) const;
};

// Changes one stage after the other, in the order of the model, by what the calibration tokens show there.
class StageEditor {
 public:
  virtual ~StageEditor() = default;
  virtual std::string activity() const = 0;  // phrase for messages: "cutting"
  virtual bool needs_dense() const { return false; }
  // Returns the model that StageStreams::dense walks through, of as many stages; null: the model as it was.
  virtual const Model* target_model() const { return nullptr; }
  // Returns the stage with its channels in the order that the editor has given to the rest of the model; the
  // stage computes the same. Is called before all edits.
  virtual Stage rearranged(const Stage& stage) const { return stage; }
  // Returns the stage changed; adds to the report. The walk stays where it is, or with `advance` is left
  // behind the stage that is returned.
  virtual Stage edit(const Stage& stage, StagePosition position, const StageStreams& streams, bool advance,
                     Report& report) = 0;
};

using StageEditors = std::vector<std::unique_ptr<StageEditor>>;

// Changes every stage of the model by all editors in their order. Each works on the result of the one before,
// with the calibration tokens as the stages changed before hand them on. Finished stages are kept in
// the area and not done again. Returns the model; adds the entries of all stages to the report.
Model edit_stages(const Model& original, const CalibrationSet& set, const StageEditors& editors,
                  WorkArea& area, Report& report, const PassProgress& progress = {});

}  // namespace pare
