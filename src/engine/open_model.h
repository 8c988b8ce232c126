// Opening models to run them.
#pragma once

#include <string>
#include <vector>

#include "base/comm.h"
#include "model/model.h"
#include "runtime/packed_model.h"

namespace pare {

struct OpenModel {
  ModelSize size;  // size of the whole model
  PackedModel packed;
};

// Loads a model, checks that every weight is finite (kNumeric naming the tensor) and packs it.
OpenModel open_model(const std::string& path, ComputeType compute);

// Opens several models, whose blocks are spread over the ranks: each has its share of every model, and
// the first rank runs them all.
std::vector<OpenModel> open_models(const std::vector<std::string>& paths, ComputeType compute, Comm& comm);

std::vector<const PackedModel*> packed_models(const std::vector<OpenModel>& models);

}  // namespace pare
