// Inputs that decide the result of a run; an interrupted run may be continued only with the same ones.
#pragma once

#include <string>

#include "base/json.h"
#include "compress/resume/work_area.h"
#include "model/model.h"

namespace pare {

// Returns SHA-256 over every byte of every tensor (with its role, shape and encoding) and the configuration.
std::string model_fingerprint(const Model& model);

// Records the inputs of a run, or compares them with those that the area's first run recorded and those of
// the first rank. `parts`: named plain values, and "options": plain values by the names of the options, those
// of one of several passes in an object of its name. Throws kInvalid naming the parts that differ.
void require_same_run(WorkArea& area, const Json& parts);

}  // namespace pare
