#include "base/json_file.h"

#include "base/error.h"
#include "base/mapped_file.h"

namespace pare {

Json read_json_object(const std::filesystem::path& path) {
  constexpr uint64_t kMaxBytes = 16 << 20;
  if (!std::filesystem::is_regular_file(path)) return Json::object();
  Json json = parse_json(read_file(path, kMaxBytes), path.string());
  if (!json.is_object())
    fail(ErrorCode::kFormat, "{}: expected an object, got {}", path.string(), json.type_name());
  return json;
}

}  // namespace pare
