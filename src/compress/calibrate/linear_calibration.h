// Calibrating the linears of a model: walks through its stages, collects what each linear reads, and has a
// solver find its new weights.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "compress/calibrate/linear_solver.h"
#include "compress/calibrate/loss_weights.h"
#include "compress/pass_options.h"
#include "compress/walk/stage_walk.h"

namespace pare {

// Reference that the outputs of linears are compared with.
enum class MatchOutput {
  kLayer,  // output of the linear, as it was, for the same input
  // Linears that write the residual stream (o, down) bring it to where the model as it was has it: they make
  // up, as far as they can, for all that was lost before. Other linears as for kLayer.
  kModel,
};

struct LinearCalibrationOptions {
  // Each linear is calibrated behind all changed ones before it, else in the model as it was.
  bool sequential = true;
  MatchOutput match = MatchOutput::kLayer;  // kModel needs `sequential`
  double damping = 0.01;                    // added to the Gram matrix's diagonal, relative to its mean
  // Damping where the model is matched, for the weights that would be best. A small one follows the
  // calibration tokens more closely than is good for other text.
  double match_damping = 0.3;
};

// Words that options and reports use for these values.
extern const std::map<std::string, MatchOutput> kMatchWords;

// Throws kUsage naming the option that is out of range or does not go with another.
void validate(const LinearCalibrationOptions& options);

// Sets what is given of sequential, match, damping and match_damping.
void take_options(const OptionValues& values, LinearCalibrationOptions& options);

// Returns `relative` times the mean of a Gram matrix's diagonal, 1 where that is 0.
double damping_of(const Matrix<double>& gram, double relative);
void add_to_diagonal(Matrix<double>& m, double value);

// A stage is run once for every linear that writes the stream, the readers of the stream need only its norm.
// After the last of these runs the walk is behind the stage: its output is corrected by the change of the
// last writer, whose input is kept. Where a norm stands behind the branches, the stage runs once more
// instead.
//
// The walk carries the stream of the changed model, that of the model as it was when the options are not
// sequential.
class LinearCalibration final : public StageEditor {
 public:
  // `model`: has the stages that will come. `tokens`: this rank's, in the walk. `rows`: the name under which
  // the area keeps the rows that a linear reads. `weights`: of the tokens; null: all count alike.
  LinearCalibration(std::unique_ptr<LinearSolver> solver, const LinearCalibrationOptions& options,
                    const Model& model, const WorkArea& area, int64_t tokens, const std::string& rows,
                    std::unique_ptr<const LossWeights> weights = nullptr);
  std::string activity() const override { return solver_->activity(); }
  bool needs_dense() const override { return options_.match == MatchOutput::kModel; }
  Stage rearranged(const Stage& stage) const override { return solver_->rearranged(stage); }
  // Returns the stage with the weights that the solver finds.
  Stage edit(const Stage& stage, StagePosition position, const StageStreams& streams, bool advance,
             Report& report) override;

 private:
  bool takes(StagePosition position, const InputGroup& group) const;
  std::vector<double> weights_of(StagePosition position, const InputGroup& group) const;
  CalibratedInput collect_normed(const Stage& stage, StagePosition position, const InputGroup& group,
                                 const CalibrationWalk& walk);
  CalibratedInput collect_inner(const Stage& stage, StagePosition position, const InputGroup& group,
                                const StageStreams& streams, bool advance);
  std::vector<int64_t> reorder(Stage& stage, CalibratedInput& input, const CalibrationWalk& walk,
                               Report& report);
  void solve(Stage& stage, CalibratedInput& input, Report& report);
  void correct(CalibrationWalk& walk, StagePosition position, const Linear& before, const Linear& after,
               std::span<const int64_t> order) const;

  std::unique_ptr<LinearSolver> solver_;
  LinearCalibrationOptions options_;
  ModelConfig config_;
  KeptRows rows_;  // rows of the input that was collected last
  std::unique_ptr<const LossWeights> weights_;
};

}  // namespace pare
