// One stage of a model made sparse, on the calibration tokens that reach it.
#pragma once

#include <string>
#include <vector>

#include "compress/calibration_walk.h"
#include "compress/report.h"
#include "compress/sparsify/selection.h"
#include "compress/sparsify/sparsify.h"

namespace pare {

constexpr int64_t kRowsAtOnce = 512;  // of a linear that is made sparse

// Linears that read the same signal.
struct InputGroup {
  Signal signal = Signal::kNormed;
  std::vector<Role> roles;
  int64_t width = 0;  // columns of the signal
};

// Columns of the widest input of a linear.
int64_t widest_input(const Model& model);

// A stage is run once for every linear that writes the stream, the readers of the stream need only its norm.
// After the last of these runs the walk is behind the stage: its output is corrected by the change of the
// last writer, whose input is kept.
class StageSparsifier {
 public:
  // Keeps references. `walk` carries the stream of the sparse model (the dense one when the options are not
  // sequential), `dense` that of the dense model where the options match it, else null. `widest`: columns of
  // the widest input. `residual_order`: of the model's channels, empty when they are as they were. `inputs`:
  // the name under which the area keeps the signal a linear reads.
  StageSparsifier(const SparsifyOptions& options, const ModelConfig& config, WorkArea& area,
                  CalibrationWalk& walk, CalibrationWalk* dense, int64_t widest,
                  std::vector<int64_t> residual_order, const std::string& inputs);
  // Returns the stage with linears of the pattern in f32 and leaves the walks behind it; adds to the report.
  Stage run(const Stage& stage, int64_t block, Pattern pattern, Report& report);

 private:
  struct Input;
  bool selects(int64_t block, const InputGroup& group) const;
  void see(Input& input, MatrixView<const float> x);
  void finish(Input& input) const;
  void collect_normed(const Stage& stage, Input& input);
  void collect_inner(const Stage& stage, const std::string& label, Input& input, bool match, bool advance);
  void correct(const Linear& before, const Linear& after, const Input& input, const std::string& label);
  void shuffle(Stage& stage, const std::string& label, Input& input, Report& report) const;
  void prune_group(Stage& stage, int64_t block, Input& input, Report& report) const;

  const SparsifyOptions& options_;
  PruneOptions prune_;  // with the pattern of the stage at hand
  Selection selection_;
  const ModelConfig& config_;
  CalibrationWalk& walk_;
  CalibrationWalk* dense_;
  std::vector<int64_t> residual_order_;
  StreamBuffer kept_;  // the input last collected, (tokens, width)
};

}  // namespace pare
