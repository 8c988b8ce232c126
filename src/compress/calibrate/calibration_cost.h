// Estimates of what calibrating the linears of a model takes.
#pragma once

#include <functional>
#include <memory>

#include "compress/calibrate/linear_calibration.h"
#include "compress/pass.h"

namespace pare {

struct CalibrationWidths {
  int64_t widest = 0;      // widest input or output of a linear
  int64_t largest = 0;     // most values of a linear
  int64_t parameters = 0;  // most parameters of a stage
  int64_t bytes = 0;       // most bytes of a stage as it is stored, and of its matrices in another order
};
CalibrationWidths calibration_widths(const Model& model);

// Returns an estimate from the shapes alone. `dtype`: type of the written matrices; `solving`: bytes that the
// solver takes at once, without the linear itself.
Needs calibration_needs(const Model& model, const LinearCalibrationOptions& options,
                        const CalibrationPlan& plan, Encoding dtype, int64_t solving);

// Seconds that a layer takes: once, and for each calibration sequence.
struct LayerSeconds {
  double fixed = 0.0;
  double sequence = 0.0;

  double of_model(const Model& model, const CalibrationPlan& plan) const {
    return static_cast<double>(model.blocks.size()) *
           (fixed + sequence * static_cast<double>(plan.own_samples()));
  }
};

// Times `work` on a model of the first layer alone, with one sequence of random tokens and with two: the
// difference is the time of a sequence.
using LayerWork = std::function<void(const Model& first, const CalibrationSet& set)>;
LayerSeconds seconds_of_first_layer(const Model& model, int64_t seqlen, const LayerWork& work);

// Measures the first layer on sequences of random tokens. `make`: returns the editor that changes it.
using MakeEditor = std::function<std::unique_ptr<StageEditor>(Model& model, const CalibrationSet& set,
                                                              WorkArea& area, Report& report)>;
LayerSeconds seconds_of_layer(const Model& model, const CalibrationPlan& plan, const MakeEditor& make);

}  // namespace pare
