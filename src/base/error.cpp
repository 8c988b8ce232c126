#include "base/error.h"

#include <cstring>

namespace pare {

void check_failed(const char* condition, const char* file, int line) {
  const char* slash = std::strrchr(file, '/');
  fail(ErrorCode::kInternal, "internal error: {} does not hold ({}:{}); please report this", condition,
       slash != nullptr ? slash + 1 : file, line);
}

}  // namespace pare
