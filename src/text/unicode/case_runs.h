// Tables of one character for each of others, as upper and lower case are.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace pare {

// The characters first, first + step, … last become themselves + delta.
struct CaseRun {
  uint32_t first;
  uint32_t last;
  uint32_t step;
  int32_t delta;
};

// Returns what `code` becomes by runs that are sorted and disjoint; `code` itself where no run has it.
inline char32_t mapped(const CaseRun* runs, size_t count, char32_t code) {
  const CaseRun* run = std::upper_bound(runs, runs + count, code,
                                        [](char32_t at, const CaseRun& entry) { return at < entry.first; });
  if (run == runs) return code;
  --run;
  if (code > run->last || (code - run->first) % run->step != 0) return code;
  return static_cast<char32_t>(static_cast<int64_t>(code) + run->delta);
}

}  // namespace pare
