// One stage of a model made sparse, on the calibration tokens that reach it.
#pragma once

#include <vector>

#include "compress/calibration_walk.h"
#include "compress/report.h"
#include "compress/sparsify/selection.h"
#include "compress/sparsify/sparsify.h"
#include "model/visit.h"

namespace pare {

// Linears that read the same signal.
struct InputGroup {
  Signal signal = Signal::kNormed;
  std::vector<Role> roles;
  int64_t width = 0;             // columns of the signal
  bool writes_residual = false;  // their output goes into the residual stream
};
std::vector<InputGroup> input_groups(const Stage& stage);

class StageSparsifier {
 public:
  // Keeps references. `walk` carries the stream of the sparse model (the dense one when the options are not
  // sequential), `dense` that of the dense model where the options match it, else null. `widest`: columns of
  // the widest input.
  StageSparsifier(const SparsifyOptions& options, const Selection& selection, const ModelConfig& config,
                  WorkArea& area, CalibrationWalk& walk, CalibrationWalk* dense, int64_t widest);
  // Returns the stage with sparse linears in f32 and leaves the walks behind it; adds to the report.
  Stage run(const Stage& stage, int64_t block, Report& report);

 private:
  struct Input;
  void collect(const Stage& stage, const std::string& label, std::vector<Input>& inputs);
  void shuffle(Stage& stage, const std::string& label, Input& input, Report& report) const;
  void prune_group(Stage& stage, int64_t block, Input& input, Report& report) const;

  const SparsifyOptions& options_;
  const Selection& selection_;
  const ModelConfig& config_;
  CalibrationWalk& walk_;
  CalibrationWalk* dense_;
  StreamBuffer kept_;          // an input, (tokens, width), for what needs it twice
  StreamBuffer dense_normed_;  // of the current stage in the dense model, (tokens, width)
};

}  // namespace pare
