// What slicing a model will take, before hours are spent.
#pragma once

#include <cstdint>

#include "compress/slice/slice.h"
#include "text/tokenizer.h"

namespace pare {

struct CalibrationPlan {
  int64_t nsamples = 0;
  int64_t seqlen = 0;
  bool self = false;  // the model writes its own text
};

struct SliceNeeds {
  int64_t memory = 0;       // bytes that have to be there at once
  int64_t activations = 0;  // bytes of activations: in memory if there is room, else only on disk
  int64_t disk = 0;  // bytes beside the output while it runs, with the activations and the output itself
};

// Estimated from the shapes alone. `dtype`: of the written matrices.
SliceNeeds slice_needs(const Model& model, const SliceOptions& options, const CalibrationPlan& plan,
                       Encoding dtype);

// Seconds, from the time that one layer's work takes here: the first layer on one calibration sequence, its
// algebra, and, where it will happen, a few tokens of writing.
double measure_seconds(const Model& model, const Tokenizer& tokenizer, const SliceOptions& options,
                       const CalibrationPlan& plan);

}  // namespace pare
