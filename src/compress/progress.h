// How far a long step is, for whoever shows it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace pare {

// Called with what is being done and how much of it, in units of roughly equal work; a resumed run begins
// with what an earlier one has done.
using PassProgress = std::function<void(const std::string& step, int64_t done, int64_t total)>;

}  // namespace pare
