#include "base/parallel.h"

#include <omp.h>

#include "base/error.h"

namespace pare {
namespace {
int& count() {
  static int value = omp_get_num_procs();
  return value;
}
}  // namespace

int thread_count() { return count(); }

void set_thread_count(int n) {
  if (n < 1 || n > 1024) fail(ErrorCode::kInvalid, "thread count must be 1..1024, got {}", n);
  count() = n;
}

}  // namespace pare
