#include "compress/quantize/quantize.h"

#include "compress/calibrate/linear_calibration.h"
#include "compress/quantize/quantize_solver.h"
#include "compress/quantize/tables.h"

namespace pare {

std::unique_ptr<StageEditor> quantize(Model& model, const CalibrationSet& set, const QuantizeOptions& options,
                                      WorkArea& area, Report& report, const PassProgress& progress) {
  validate(options);
  require_applicable(model, options);
  std::unique_ptr<const LossWeights> weights;
  if (options.weights == TokenWeights::kLoss)
    weights = std::make_unique<const LossWeights>(model, set, area, progress);
  if (options.table_format()) round_tables(model, set, options, weights.get(), area, report, progress);
  report.recipe = {{"method", "quantize"}, {"options", to_json(options)}};
  return std::make_unique<LinearCalibration>(std::make_unique<QuantizeSolver>(options, model.config), options,
                                             model, area, own_tokens(set, area), "quantize-inputs",
                                             std::move(weights));
}

}  // namespace pare
