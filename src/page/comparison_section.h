// The models of a page side by side.
#pragma once

#include "page/markup.h"
#include "page/measurements.h"
#include "page/model_facts.h"

namespace pare {

// Adds a table of all models and rows, and a plot of KL over each of bytes, decode and prefill speed for
// which there are figures.
void add_comparison(Markup& page, const std::vector<ModelFacts>& models, const Measurements& measurements);

}  // namespace pare
