// JSON: whatever is accepted prints and reads back the same.
#include "base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pare;
  try {
    const Json value = parse_json({reinterpret_cast<const char*>(data), size}, "input");
    PARE_CHECK(parse_json(value.dump(), "output") == value);
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
