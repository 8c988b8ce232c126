// What the result of a run depends on: whether an interrupted run may be continued.
#pragma once

#include <string>

#include "base/json.h"
#include "compress/resume/work_area.h"
#include "model/model.h"

namespace pare {

// SHA-256 over every byte of every tensor (with its role, shape and encoding) and the configuration.
std::string model_fingerprint(const Model& model);

// Records what a run depends on, named parts with plain values, or compares it with what the area's first run
// recorded, and with what the first rank has. Throws kInvalid naming the parts that differ.
void require_same_run(WorkArea& area, const Json& parts);

}  // namespace pare
