// What a model was made of, and how.
#pragma once

#include "page/markup.h"
#include "page/model_facts.h"

namespace pare {

// Adds passes with their options, the calibration text and what did not go as planned.
void add_recipe(Markup& page, const ModelFacts& facts);

}  // namespace pare
