// pare slice: chooses which streams of a model get narrower and by how much, and makes the new model.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "compress/slice/residual.h"
#include "compress/slice/stream_slicing.h"

namespace pare {

// Words that options and reports use for these values.
extern const std::map<std::string, Rotation> kRotationWords;
extern const std::map<std::string, Covariance> kCovarianceWords;

struct SliceOptions {
  // Exactly one of the two is set. sparsity: share of the sliced width that goes (SliceGPT's meaning; the
  // real cut differs). target_params: share of the original's real parameters that stays at most.
  std::optional<double> sparsity;
  std::optional<double> target_params;

  bool residual = false;  // slice the residual stream (SliceGPT) instead of the streams inside the stages
  Rotation rotation = Rotation::kBlock;
  Covariance covariance = Covariance::kNormalized;
  bool slice_head = true;
  bool keep_tie = true;
  int64_t round_interval = 8;  // residual and hidden widths are multiples of it

  bool hidden = true;    // cut the hidden streams of the MLPs
  bool value = true;     // cut the value streams inside the heads
  bool uniform = false;  // one hidden width for all layers, values whole: an ordinary checkpoint results
  double ridge = 1e-3;   // damping of the refits, relative to the mean of the Gram matrix's diagonal
};

// Throws kUsage naming the option that is out of range or does not go with another.
void validate(const SliceOptions& options);

// Returns whether slicing turns columns or rows of a linear of that role into sums of them, which no N:M
// pattern survives. Hidden streams lose whole neurons, and where `down` is sparse, whole groups of them.
bool mixes_columns(const SliceOptions& options, Role role);

// Throws kInvalid when no widths make the model as small as the options want; needs no calibration.
void require_reachable(const Model& model, const SliceOptions& options);

// Returns the options that decide the result, by their names.
Json to_json(const SliceOptions& options);

// Slices the residual stream of the model, and adds errors and checks to the report; or chooses the widths of
// the streams inside its stages and returns an editor that cuts them. Sets report's recipe. Steps that the
// area holds of an earlier run with the same model, set and options are not repeated.
std::unique_ptr<StageEditor> slice(Model& model, const CalibrationSet& set, const SliceOptions& options,
                                   WorkArea& area, Report& report, const PassProgress& progress = {});

}  // namespace pare
