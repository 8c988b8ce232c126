// Progress callback of a long step.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace pare {

// Receives the name of a step and how much of it is done, in units of roughly equal work. A resumed run
// begins with the work of the earlier run.
using PassProgress = std::function<void(const std::string& step, int64_t done, int64_t total)>;

}  // namespace pare
