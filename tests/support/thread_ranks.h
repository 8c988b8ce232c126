// Ranks that are threads of one process: what ranks compute together, without a launcher.
#pragma once

#include <functional>

#include "base/comm.h"

namespace pare::test {

// Calls body with each of `size` ranks, each on a thread of its own. When one throws, the others' next send
// or receive throws as well, and so does this function: what was thrown first.
void run_ranks(int size, const std::function<void(Comm&)>& body);

}  // namespace pare::test
