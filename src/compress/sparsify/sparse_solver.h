// Linears made sparse: each by the pattern of its stage, with channels ordered for it.
#pragma once

#include <optional>
#include <vector>

#include "compress/calibrate/linear_solver.h"
#include "compress/calibrate/selection.h"
#include "compress/sparsify/options.h"

namespace pare {

class SparseSolver final : public LinearSolver {
 public:
  // `patterns`: for every stage of the model. `residual_order`: of the model's channels, empty when they are
  // as they were.
  SparseSolver(const SparsifyOptions& options, const ModelConfig& config, std::vector<Pattern> patterns,
               std::vector<int64_t> residual_order);
  std::string activity() const override { return "making sparse"; }
  Stage rearranged(const Stage& stage) const override;
  bool takes(StagePosition position, Role role) const override;
  void see(const CalibratedInput& input) override;
  std::vector<int64_t> reorder(Stage& stage, const CalibratedInput& input) override;
  // Returns an f32 weight that follows the pattern.
  Weight solve(const CalibratedLinear& linear, Report& report) override;

 private:
  // Returns the options with the pattern of a stage.
  PruneOptions prune_at(StagePosition position) const;

  PruneOptions prune_;
  ShuffleOptions shuffle_;
  bool shuffle_inner_;
  Selection selection_;
  ModelConfig config_;
  std::vector<Pattern> patterns_;
  std::vector<int64_t> residual_order_;
  // Statistics of the input that see() received last.
  ChannelStatistics channels_;
  std::optional<double> spread_before_;  // spread of the entropies, before any shuffle
};

}  // namespace pare
