// What `pare bench` found, for people.
#pragma once

#include <string>

#include "base/json.h"

namespace pare {

// From the JSON that the command prints.
std::string bench_table(const Json& report);

}  // namespace pare
