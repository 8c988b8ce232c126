// One stage of a model made sparse, on the calibration tokens that reach it.
#pragma once

#include <string>
#include <vector>

#include "compress/sparsify/selection.h"
#include "compress/sparsify/sparsify.h"
#include "compress/walk/stage_walk.h"

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
// last writer, whose input is kept. Where a norm stands behind the branches, the stage runs once more
// instead.
//
// The walk carries the stream of the sparse model, that of the dense one when the options are not sequential.
class StageSparsifier final : public StageEditor {
 public:
  // `patterns`: of every stage of the model. `tokens`: of the walk. `residual_order`: of the model's
  // channels, empty when they are as they were. `inputs`: the name under which the area keeps the signal a
  // linear reads.
  StageSparsifier(SparsifyOptions options, const Model& model, std::vector<Pattern> patterns, WorkArea& area,
                  int64_t tokens, std::vector<int64_t> residual_order, const std::string& inputs);
  std::string activity() const override { return "making sparse"; }
  bool needs_dense() const override { return options_.match == MatchOutput::kModel; }
  Stage rearranged(const Stage& stage) const override;
  // Returns the stage with linears of its pattern in f32.
  Stage edit(const Stage& stage, StagePosition position, const StageStreams& streams, bool advance,
             Report& report) override;

 private:
  struct Input;
  bool selects(int64_t block, const InputGroup& group) const;
  void see(Input& input, MatrixView<const float> x);
  void finish(const CalibrationWalk& walk, Input& input) const;
  void collect_normed(const Stage& stage, const CalibrationWalk& walk, Input& input);
  void collect_inner(const Stage& stage, const std::string& label, const StageStreams& streams, Input& input,
                     bool advance);
  void correct(CalibrationWalk& walk, const Linear& before, const Linear& after, const Input& input,
               const std::string& label);
  void shuffle(Stage& stage, const std::string& label, const CalibrationWalk& walk, Input& input,
               Report& report) const;
  void prune_group(Stage& stage, int64_t block, Input& input, Report& report) const;

  SparsifyOptions options_;
  PruneOptions prune_;  // with the pattern of the stage at hand
  Selection selection_;
  ModelConfig config_;
  std::vector<Pattern> patterns_;
  std::vector<int64_t> residual_order_;
  StreamBuffer kept_;  // the input last collected, (tokens, width)
};

}  // namespace pare
