// Task files: an error of the right kind, or items that can be asked.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "eval/task_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  try {
    for (const pare::Task& task : pare::parse_tasks(input, "input")) {
      PARE_CHECK(!task.items.empty());
      for (const pare::TaskItem& item : task.items) {
        const size_t choices = item.requests.size();
        PARE_CHECK(item.gold < choices);
        PARE_CHECK(item.lengths.size() == (task.metrics == pare::TaskMetrics::kNormalized ? choices : 0));
        PARE_CHECK(item.truths.size() == (task.metrics == pare::TaskMetrics::kTrueMass ? choices : 0));
        for (const int64_t length : item.lengths) PARE_CHECK(length > 0);
        for (const pare::TaskRequest& request : item.requests)
          PARE_CHECK(request.continuation.starts_with(' '));
      }
    }
  } catch (const pare::Error& error) {
    if (error.code() == pare::ErrorCode::kInternal) throw;
  }
  return 0;
}
