// Options of making linears sparse, and their meaning for a model.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "compress/calibrate/linear_calibration.h"
#include "compress/sparsify/prune.h"
#include "compress/sparsify/shuffle.h"
#include "model/model.h"

namespace pare {

// Words that options and reports use for these values.
extern const std::map<std::string, SparseMethod> kMethodWords;
extern const std::map<std::string, NormScale> kNormWords;
extern const std::map<std::string, WeightUpdate> kUpdateWords;

struct SparsifyOptions : LinearCalibrationOptions {
  PruneOptions prune;
  ShuffleOptions shuffle;
  bool shuffle_residual = true;  // one order for the model's residual stream
  bool shuffle_inner = true;     // one order for every value head and hidden stream
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

// The patterns of the options, densest first, each once. Throws kUsage when two keep the same share.
std::vector<Pattern> pattern_candidates(const SparsifyOptions& options);

// Throws kInvalid naming a linear whose columns are not a multiple of M, or that nothing is selected.
void require_applicable(const Model& model, const SparsifyOptions& options);

// Returns whether the options name that linear.
bool selects(const Model& model, const SparsifyOptions& options, int64_t block, Role role);
// Returns whether a linear that follows a pattern may no longer do so afterwards: it gets a pattern that does
// not imply it, or it is left alone and its columns get the order of the residual stream.
bool loosens(const Model& model, const SparsifyOptions& options, int64_t block, Role role, Pattern pattern);

// Returns the names of the roles that are made sparse in some layer.
std::vector<std::string> selected_roles(const Model& model, const SparsifyOptions& options);

// Returns the options that decide the result, by their names.
Json to_json(const SparsifyOptions& options);

}  // namespace pare
