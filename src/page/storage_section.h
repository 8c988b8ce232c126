// Storage of a model: formats by layer and role, and where its bytes are.
#pragma once

#include "page/markup.h"
#include "page/model_facts.h"

namespace pare {

void add_formats(Markup& page, const ModelFacts& facts);
void add_bytes(Markup& page, const ModelFacts& facts);

}  // namespace pare
