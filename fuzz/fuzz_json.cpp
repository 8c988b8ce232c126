// JSON: whatever is accepted prints and reads back the same, but for numbers that are not finite: they are
// read as Python writes them, and printed as null.
#include <cmath>

#include "base/json.h"

namespace {

void clear_non_finite(pare::Json& value) {
  if (value.is_number_float() && !std::isfinite(value.get<double>())) value = nullptr;
  if (!value.is_structured()) return;
  for (auto& member : value) clear_non_finite(member);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pare;
  try {
    const Json value = parse_json({reinterpret_cast<const char*>(data), size}, "input");
    Json finite = value;
    clear_non_finite(finite);
    PARE_CHECK(parse_json(value.dump(), "output") == finite);
    if (!value.is_object()) return 0;
    for (const auto& [key, member] : value.items()) {
      try {
        json_find<int64_t>(value, key, "input");
        json_find<double>(value, key, "input");
        json_find<std::string>(value, key, "input");
      } catch (const Error&) {  // another type
      }
    }
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal) throw;
  }
  return 0;
}
