// Opening a model to run it.
#pragma once

#include <string>

#include "model/model.h"
#include "model/packed_model.h"

namespace pare {

struct OpenModel {
  ModelSize size;
  PackedModel packed;
};

// Loads, checks that every weight is finite (kNumeric naming the tensor) and packs.
OpenModel open_model(const std::string& path, ComputeType compute);

}  // namespace pare
