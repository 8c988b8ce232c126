// The page of `pare report`: one file of XHTML that needs nothing else.
#pragma once

#include <string>
#include <vector>

#include "page/measurements.h"
#include "page/model_facts.h"

namespace pare {

// Returns the whole page. It says nothing of the run (times, paths), so equal models and figures have equal
// pages. `measurements`: the rows of the models first, in their order.
std::string report_page(const std::vector<ModelFacts>& models, const Measurements& measurements);

}  // namespace pare
