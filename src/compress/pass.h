// A pass changes a model: slicing, making sparse. What all of them have in common.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "compress/progress.h"
#include "compress/report.h"
#include "compress/resume/work_area.h"
#include "compress/walk/calibration_set.h"
#include "compress/walk/sample_split.h"
#include "compress/walk/stage_walk.h"
#include "model/model.h"
#include "model/roles.h"

namespace pare {

struct CalibrationPlan {
  int64_t nsamples = 0;
  int64_t seqlen = 0;
  int64_t self_samples = 0;  // of them: written by the model itself
  int64_t ranks = 1;         // that share the samples; 1, 2 or 4

  // The most that one rank gets.
  int64_t own_samples() const { return share_of(nsamples, ranks); }
  int64_t own_tokens() const { return own_samples() * seqlen; }
};

// What a pass takes of one rank, before hours are spent.
struct Needs {
  int64_t memory = 0;       // bytes that have to be there at once
  int64_t activations = 0;  // bytes of activations: in memory if there is room, else only on disk
  int64_t disk = 0;  // bytes beside the output while it runs, with the activations and the output itself
};

class Pass {
 public:
  virtual ~Pass() = default;
  virtual std::string name() const = 0;  // "slice"
  // Throws kInvalid or kUnsupported when the pass cannot do with this model what its options ask for; needs
  // no calibration.
  virtual void require_applicable(const Model& model) const = 0;
  // What the linears it works on follow afterwards.
  virtual Pattern pattern() const { return kDense; }
  // What a linear of the blocks follows afterwards because of the pass; dense where it is not its work.
  virtual Pattern makes_pattern(const Model& /*model*/, int64_t /*block*/, Role /*role*/) const {
    return kDense;
  }
  // Whether a linear that follows the N:M pattern before the pass need not follow it afterwards.
  virtual bool loses_pattern(const Model& /*model*/, int64_t /*block*/, Role /*role*/,
                             Pattern /*pattern*/) const {
    return false;
  }
  // What a user may do about that; empty: nothing.
  virtual std::string how_to_keep_patterns() const { return ""; }
  // The options that decide the result, by their names.
  virtual Json options() const = 0;
  // Estimated from the shapes alone. `dtype`: of the written matrices.
  virtual Needs needs(const Model& model, const CalibrationPlan& plan, Encoding dtype) const = 0;
  // Seconds, from the time that one layer's work takes here and now.
  virtual double seconds(const Model& model, const CalibrationPlan& plan) const = 0;

  // Changes the model at once, or returns what changes its stages one after the other, as far as it needs a
  // walk; then it may change the model where that leaves its function alone. Sets report's recipe. What the
  // area holds of an earlier run with the same model, set and options is not done again.
  virtual std::unique_ptr<StageEditor> prepare(Model& model, const CalibrationSet& set, WorkArea& area,
                                               Report& report, const PassProgress& progress) const = 0;
  // Whether its stages can be edited in the walk of the pass before it: what it prepares does not depend on
  // what that one does.
  virtual bool can_join() const { return false; }
};

using Passes = std::vector<std::unique_ptr<Pass>>;

}  // namespace pare
