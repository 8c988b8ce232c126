// JSON objects in files, as configurations are.
#pragma once

#include <filesystem>

#include "base/json.h"

namespace pare {

// Reads the object in a file of at most 16 MiB; an empty one when there is no such file. Throws kFormat when
// it is longer or holds something else, and kIo.
Json read_json_object(const std::filesystem::path& path);

}  // namespace pare
