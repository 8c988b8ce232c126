// The part of a page about one model.
#pragma once

#include "page/markup.h"
#include "page/model_facts.h"

namespace pare {

// Adds what the model was made of and how, its formats, widths, spectra, errors and bytes. `id`: that of the
// section, for links.
void add_model_section(Markup& page, const ModelFacts& facts, const std::string& id);

}  // namespace pare
