#include "base/aligned_buffer.h"

#include <sys/mman.h>

#include <cstdint>

namespace pare::detail {

void advise_huge_pages(void* data, size_t bytes) {
  constexpr uintptr_t kPage = uintptr_t{2} << 20;
  const uintptr_t skipped = (kPage - reinterpret_cast<uintptr_t>(data) % kPage) % kPage;
  if (skipped >= bytes) return;
  const size_t whole = (bytes - skipped) / kPage * kPage;
  if (whole > 0) ::madvise(static_cast<char*>(data) + skipped, whole, MADV_HUGEPAGE);
}

}  // namespace pare::detail
