// How long work takes: processor time, which what else runs on the machine hardly changes.
#pragma once

#include <ctime>

namespace pare::test {

// Times that sanitizers make work longer, for bounds on it.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr double kSlowdown = 10.0;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr double kSlowdown = 10.0;
#else
inline constexpr double kSlowdown = 1.0;
#endif
#else
inline constexpr double kSlowdown = 1.0;
#endif

// Counts from its construction. Threads of the process add up.
class CpuClock {
 public:
  double seconds() const { return static_cast<double>(std::clock() - start_) / CLOCKS_PER_SEC; }

 private:
  std::clock_t start_ = std::clock();
};

}  // namespace pare::test
