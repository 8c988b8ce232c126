// pare sparsify: N:M sparse linears in the blocks of a model.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "compress/progress.h"
#include "compress/report.h"
#include "compress/resume/work_area.h"
#include "compress/sparsify/prune.h"
#include "compress/sparsify/shuffle.h"
#include "compress/walk/calibration_set.h"
#include "compress/walk/stage_walk.h"
#include "model/model.h"

namespace pare {

// What the outputs of sparse linears are compared with.
enum class MatchOutput {
  kLayer,  // what the dense linear makes of the same input
  // What writes the residual stream (o, down) is to bring it to where the dense model has it: it makes up, as
  // far as it can, for all that was lost before it. Other linears as above.
  kModel,
};

struct SparsifyOptions {
  PruneOptions prune;
  bool sequential =
      true;  // each linear is calibrated behind all sparse ones before it, else in the dense model
  MatchOutput match = MatchOutput::kLayer;
  ShuffleOptions shuffle;
  bool shuffle_residual = true;  // one order for the model's residual stream
  bool shuffle_inner = true;     // and one for every value head and hidden stream
  double damping = 0.01;         // added to the Gram matrix's diagonal, relative to its mean
  // The same where the model is matched, for the weights that would be best: a small one follows the
  // calibration tokens more closely than other text bears.
  double match_damping = 0.3;
  // Other patterns that a stage may get instead, kDense among them, so that linears, masks and all else take
  // `target_bytes` of the dense model's bytes: where the predictions suffer least (choose_patterns).
  std::vector<Pattern> mix;
  std::optional<double> target_bytes;
  // Regular expressions (ECMAScript) that match a whole role ("down"), linear ("layers.3.down") or tensor
  // ("model.layers.3.mlp.down_proj.weight"). No targets: all linears of the blocks.
  std::vector<std::string> targets;
  std::vector<std::string> ignore;
};

// Throws kUsage naming the option that is out of range or does not go with another.
void validate(const SparsifyOptions& options);

// Throws kInvalid naming a linear whose columns are not a multiple of M, or that nothing is selected.
void require_applicable(const Model& model, const SparsifyOptions& options);

// Whether the options name that linear.
bool selects(const Model& model, const SparsifyOptions& options, int64_t block, Role role);
// Whether a linear that follows a pattern may no longer do so afterwards: it gets one that does not imply it,
// or it is left alone and its columns get the order of the residual stream.
bool loosens(const Model& model, const SparsifyOptions& options, int64_t block, Role role, Pattern pattern);

// Names of the roles that are made sparse in some layer.
std::vector<std::string> selected_roles(const Model& model, const SparsifyOptions& options);

// The options that decide the result, by the names of their flags.
Json to_json(const SparsifyOptions& options);

// What makes the stages of the model sparse. Orders the model's channels and chooses patterns, where the
// options want it; sets report's recipe. What the area holds of an earlier run with the same model, set and
// options is not done again.
std::unique_ptr<StageEditor> sparsify(Model& model, const CalibrationSet& set, const SparsifyOptions& options,
                                      WorkArea& area, Report& report, const PassProgress& progress = {});

}  // namespace pare
