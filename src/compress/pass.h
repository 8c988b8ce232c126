// Interface of all passes. A pass changes a model: slicing, making sparse.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
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
  int64_t self_samples = 0;  // samples that the model writes itself
  int64_t ranks = 1;         // ranks that share the samples; 1, 2 or 4
  int64_t training = 0;      // sequences that passes train on, those of the samples among them; 0: none do

  // Returns the most samples that one rank gets.
  int64_t own_samples() const { return share_of(nsamples, ranks); }
  int64_t own_tokens() const { return own_samples() * seqlen; }
};

// Needs of a pass on one rank, estimated before it runs.
struct Needs {
  int64_t memory = 0;       // bytes needed at once
  int64_t activations = 0;  // bytes of activations: in memory if there is room, else only on disk
  int64_t disk = 0;  // bytes beside the output while it runs, with the activations and the output itself
};

// Returns the bytes of the weight files that a run writes for a model, at most. Reads no values: only formats
// and shapes have to be right.
using WrittenBytes = std::function<int64_t(const Model& model)>;

// What a pass works with.
struct PassContext {
  const CalibrationSet& set;       // sequences that calibrate
  const CalibrationSet& training;  // sequences to train on: those of `set`, and more of the same sources
  const Model& original;           // the model before all passes
  WorkArea& area;
  Report& report;
  const PassProgress& progress;
  const WrittenBytes& written_bytes;
};

class Pass {
 public:
  virtual ~Pass() = default;
  virtual std::string name() const = 0;  // name of its command: "slice"
  // Throws kInvalid or kUnsupported when the pass cannot do what its options ask for with this model; needs
  // no calibration.
  virtual void require_applicable(const Model& model) const = 0;
  // Throws kUsage or kInvalid when the pass cannot be the first of a run that begins with this model.
  virtual void require_start(const Model& /*model*/) const {}
  // Returns the pattern of the linears that the pass works on, afterwards.
  virtual Pattern pattern() const { return kDense; }
  // Returns the pattern that the pass gives a linear of the blocks; dense where it works on others.
  virtual Pattern makes_pattern(const Model& /*model*/, int64_t /*block*/, Role /*role*/) const {
    return kDense;
  }
  // Returns whether a linear that follows the N:M pattern before the pass need not follow it afterwards.
  virtual bool loses_pattern(const Model& /*model*/, int64_t /*block*/, Role /*role*/,
                             Pattern /*pattern*/) const {
    return false;
  }
  // Returns a number that divides every width that the pass changes; 0 when it changes none.
  virtual int64_t width_step() const { return 0; }
  // Returns a number that has to divide the columns of the matrices that the pass works on.
  virtual int64_t needs_width_step() const { return 1; }
  // Returns the encodings of codes that the pass leaves weights in, of a run that begins with this model.
  // They are written as they are, and no later pass may change them unless it keeps_codes(). None: it leaves
  // floats.
  virtual std::vector<Encoding> codes(const Model& /*model*/) const { return {}; }
  virtual bool keeps_codes() const { return false; }
  // Returns why a model that the pass has made cannot be a GGUF file; empty when it can be one.
  virtual std::string no_gguf(const Model& /*model*/) const { return ""; }
  // Returns what of the pass has to run in one process; empty where ranks can share all of it.
  virtual std::string no_ranks() const { return ""; }
  // Returns the most bytes that the written weight files may have, of a run that begins with this model.
  virtual std::optional<int64_t> most_bytes(const Model& /*original*/) const { return {}; }
  // Throws kInvalid when the pass, the first of its run, cannot make this model meet the limit that its
  // options set, of most_bytes() or of time.
  virtual void require_fits(const Model& /*model*/, const WrittenBytes& /*written_bytes*/) const {}
  // Returns advice to the user on how to keep patterns; empty: there is none.
  virtual std::string how_to_keep_patterns() const { return ""; }
  // Returns how many sequences of this length the pass trains on at most; 0: it does not train.
  virtual int64_t training_sequences(int64_t /*seqlen*/) const { return 0; }
  // Returns the model that writes text for the run; null: its own model does.
  virtual const Model* writer() const { return nullptr; }
  // Throws kInvalid when writer() has other tokens than this tokenizer, that of the run's model.
  virtual void require_same_tokens(const Tokenizer& /*tokenizer*/) const {}
  // Returns the options that decide the result, by their names.
  virtual Json options() const = 0;
  // Returns an estimate from the shapes alone. `dtype`: type of the written matrices.
  virtual Needs needs(const Model& model, const CalibrationPlan& plan, Encoding dtype) const = 0;
  // Returns seconds, from the time that one layer's work takes here and now.
  virtual double seconds(const Model& model, const CalibrationPlan& plan) const = 0;

  // Changes the model at once, or returns an editor that changes its stages one after the other if it needs a
  // walk; then it may change the model where that leaves its function alone. Sets report's recipe. Steps that
  // the area holds of an earlier run with the same model, set and options are not repeated.
  virtual std::unique_ptr<StageEditor> prepare(Model& model, const PassContext& context) const = 0;
  // Measures what all passes have made, and adds it to the pass's own recipe and to the report.
  virtual void measure(const Model& /*made*/, Json& /*recipe*/, Report& /*report*/) const {}
  // Returns whether the stages can be edited in the walk of the pass before. That holds if prepare() does not
  // depend on what that pass does.
  virtual bool can_join() const { return false; }
};

// Returns why matrices in these encodings cannot be in a GGUF file; empty when they can.
std::string no_gguf_type(const std::vector<Encoding>& encodings);

using Passes = std::vector<std::unique_ptr<Pass>>;

// Returns whether one of the passes leaves codes, in a run that begins with this model.
inline bool makes_codes(const Passes& passes, const Model& model) {
  return std::any_of(passes.begin(), passes.end(),
                     [&](const auto& pass) { return !pass->codes(model).empty(); });
}

}  // namespace pare
