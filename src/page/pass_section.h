// What passes have done to the layers: widths, spectra, errors.
#pragma once

#include "page/markup.h"
#include "page/model_facts.h"

namespace pare {

// Adds the widths kept by layer of every stream that was cut, and how the energy of the streams falls off.
void add_slices(Markup& page, const ModelFacts& facts);
// Adds a map of errors for each pass that has left some.
void add_errors(Markup& page, const ModelFacts& facts);

}  // namespace pare
