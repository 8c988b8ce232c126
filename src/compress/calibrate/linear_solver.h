// Finding the weights of a linear from its input on calibration text: the interface of a pass, and the data
// that it is given.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "compress/calibrate/input_group.h"
#include "compress/calibrate/input_sums.h"
#include "compress/report.h"
#include "compress/solve/input_gram.h"
#include "compress/walk/stage_walk.h"

namespace pare {

// Rows of a linear that are worked on at once. They are independent problems, and a large linear in f64, with
// all that solvers need, would take many times the memory of the model's stage.
inline constexpr int64_t kRowsAtOnce = 512;

// Calibration data of an input that linears of a stage share.
struct CalibratedInput {
  StagePosition position;
  InputGroup group;
  int64_t tokens = 0;    // tokens of all ranks
  Matrix<double> gram;   // (width, width): Σ x·xᵀ over the tokens
  Matrix<double> cross;  // (out, width): as of WantedOutput; empty where the linears' own outputs are wanted
  const KeptRows& rows;  // x of this rank's tokens
  Comm& comm;            // the ranks that share the tokens
};

// The part of the error Σ ‖V·x − T·x‖² of a linear's outputs, relative to Σ ‖T·x‖², over calibration tokens.
class OutputError {
 public:
  // `damped` (in, in): Σ x·xᵀ + damping·I. Keeps a view.
  OutputError(MatrixView<const double> damped, double damping) : damped_(damped), damping_(damping) {}
  // Adds rows V = `values` and T = `target`, (rows, in).
  void add(MatrixView<const double> target, const Matrix<double>& values);
  double relative() const { return output_ > 0.0 ? lost_ / output_ : 0.0; }

 private:
  double energy(const Matrix<float>& a) const;

  MatrixView<const double> damped_;
  double damping_;
  double lost_ = 0.0;
  double output_ = 0.0;
};

// Weights T of least Σ ‖T·x − y‖² + λ·‖T − W‖² for a linear whose outputs should be y.
class MatchingWeights {
 public:
  // `cross` (out, in): Σ y·xᵀ. `gram` (in, in): Σ x·xᵀ + λ·I. Throws kNumeric when it does not factorise.
  MatchingWeights(Matrix<double> cross, Matrix<double> gram, double damping)
      : cross_(std::move(cross)), factor_(std::move(gram)), damping_(damping) {}
  // Returns the rows of T that begin with row `first`, for those of W, (rows, in).
  Matrix<double> rows(int64_t first, const Matrix<double>& weight) const;
  int raised() const { return factor_.raised(); }  // number of raises of λ

 private:
  Matrix<double> cross_;
  SpdFactor factor_;
  double damping_;
};

// Some rows of a linear, and their target: rows V are best where tr((V − target)·H·(V − target)ᵀ) is
// least.
struct LinearRows {
  int64_t first = 0;                // row of the linear
  MatrixView<const double> weight;  // (rows, in), as the model has it
  MatrixView<const double> target;  // (rows, in): `weight`, or a target that makes up for earlier errors
};

// A linear that is to be solved.
class CalibratedLinear {
 public:
  // Keeps references. `damping`: of the matrix of `gram`. `matching`: null where the targets are the weights
  // themselves.
  CalibratedLinear(StagePosition position, Role role, const Weight& weight, InputGram& gram, double damping,
                   const MatchingWeights* matching)
      : position_(position),
        role_(role),
        weight_(weight),
        gram_(gram),
        damping_(damping),
        matching_(matching) {}

  StagePosition position() const { return position_; }
  Role role() const { return role_; }
  std::string name() const { return linear_name(position_.block, role_); }
  const Weight& weight() const { return weight_; }  // (out, in), as the model has it
  // H (in, in): the damped Gram matrix of the input. Linears that read the same input share it.
  InputGram& gram() const { return gram_; }
  OutputError output_error() const { return {gram_.matrix(), damping_}; }
  // Calls solve() with all rows in order, at most kRowsAtOnce at a time.
  void for_each_rows(const std::function<void(const LinearRows&)>& solve) const;

 private:
  StagePosition position_;
  Role role_;
  const Weight& weight_;
  InputGram& gram_;
  double damping_;
  const MatchingWeights* matching_;
};

// Returns the encoding of a weight whose columns get another order: blocks do not survive that.
Encoding permuted_encoding(const Weight& weight);

// Finds new weights for the linears of a model, stage by stage. An input is shown by see() before anything is
// asked about the linears that read it; then reorder() comes for the streams inside the stage, and solve()
// for each of the linears that the solver takes.
class LinearSolver {
 public:
  virtual ~LinearSolver() = default;
  virtual std::string activity() const = 0;  // phrase for messages: "making sparse"
  // Does what StageEditor::rearranged does.
  virtual Stage rearranged(const Stage& stage) const { return stage; }
  // Returns whether the solver replaces the weight of that linear.
  virtual bool takes(StagePosition position, Role role) const = 0;
  // Receives the calibration data of an input, before any of its channels are reordered.
  virtual void see(const CalibratedInput& /*input*/) {}
  // May give the channels of a value or hidden stream another order inside the stage, which must leave the
  // function of the stage alone (that is checked). Returns the order: channel i was channel order[i] before.
  // Empty: nothing was changed. The Gram matrix of the linears that are solved next follows the order.
  virtual std::vector<int64_t> reorder(Stage& /*stage*/, const CalibratedInput& /*input*/) { return {}; }
  // Returns the weight (out, in) in the format in which it stays; adds to the report.
  virtual Weight solve(const CalibratedLinear& linear, Report& report) = 0;
};

}  // namespace pare
