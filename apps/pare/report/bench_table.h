// Results of `pare bench` as a table.
#pragma once

#include <string>

#include "base/json.h"

namespace pare {

// Makes the table of the JSON that the command prints.
std::string bench_table(const Json& report);

}  // namespace pare
