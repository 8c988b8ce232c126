#include "compress/sparsify/sparsify.h"

#include "compress/calibrate/linear_calibration.h"
#include "compress/sparsify/pattern_choice.h"
#include "compress/sparsify/residual_order.h"
#include "compress/sparsify/sparse_solver.h"

namespace pare {

std::unique_ptr<StageEditor> sparsify(Model& model, const CalibrationSet& set, const SparsifyOptions& options,
                                      WorkArea& area, Report& report, const PassProgress& progress) {
  validate(options);
  require_applicable(model, options);
  std::vector<int64_t> residual_order;
  if (options.shuffle.any() && options.shuffle_residual)
    residual_order = shuffle_residual_stream(model, set, options, area, report, progress);
  report.recipe = {{"method", "sparsify"}, {"options", to_json(options)}};
  std::vector<Pattern> patterns = choose_patterns(model, set, options, residual_order, area, progress);
  auto solver =
      std::make_unique<SparseSolver>(options, model.config, std::move(patterns), std::move(residual_order));
  return std::make_unique<LinearCalibration>(std::move(solver), options, model, area, own_tokens(set, area),
                                             "inputs");
}

}  // namespace pare
