// Slicing the residual stream: rotate it into principal components, cut the weakest (SliceGPT).
#pragma once

#include <cstdint>
#include <string_view>

#include "compress/progress.h"
#include "compress/report.h"
#include "compress/resume/work_area.h"
#include "compress/walk/calibration_set.h"
#include "model/model.h"

namespace pare {

enum class Rotation {
  kBlock,   // principal components of each stage, with shortcut matrices between the bases
  kGlobal,  // principal components of the whole model, one basis
  kRandom,  // one random basis, in which nothing is cut
};
enum class Covariance { kRaw, kNormalized };  // the residual stream as it is, or after its RMS norm

struct ResidualOptions {
  int64_t width = 0;  // kept components d, 1..D
  Rotation rotation = Rotation::kGlobal;
  Covariance covariance = Covariance::kNormalized;
  bool slice_head = true;  // block rotation: also cut the input of the head
  bool keep_tie = true;    // a tied head stays tied, with a matrix in front of it
};

// Throws kUnsupported saying why when the residual stream of a model cannot be rotated.
void require_rotatable(const Model& model);

// Parameters of `model` after slice_residual, without doing it.
int64_t residual_sliced_parameters(const Model& model, const ResidualOptions& options);

// Fuses, rotates and cuts, stage by stage (a random basis is drawn with the seed of the set); returns the
// smaller model, with f32 weights unless the area keeps them in another type. Exact steps are checked on a
// probe (report).
Model slice_residual(const Model& original, const CalibrationSet& set, const ResidualOptions& options,
                     WorkArea& area, Report& report, const PassProgress& progress = {});

}  // namespace pare
