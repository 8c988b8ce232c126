// Features that requests may ask for and that pare does not have.
#pragma once

#include "base/json.h"

namespace pare {

// Refuses fields of the OpenAI API and of other servers (llama.cpp, vLLM and their kin) that would change the
// answer and that pare does not have, unless they say nothing or what pare does anyway. Other names are
// ignored. Throws kUnsupported naming the field.
void refuse_unsupported(const Json& body);

}  // namespace pare
