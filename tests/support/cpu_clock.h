// How long work takes: processor time, which what else runs on the machine hardly changes.
#pragma once

#include <ctime>

namespace pare::test {

// Counts from its construction. Threads of the process add up.
class CpuClock {
 public:
  double seconds() const { return static_cast<double>(std::clock() - start_) / CLOCKS_PER_SEC; }

 private:
  std::clock_t start_ = std::clock();
};

}  // namespace pare::test
