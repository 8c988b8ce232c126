// Zero-shot tasks from JSONL files.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/task_item.h"

namespace pare {

struct Task {
  std::string name;  // the file's, without .jsonl
  std::string path;
  std::string sha256;     // of the whole file
  std::string_view kind;  // of its records
  TaskMetrics metrics = TaskMetrics::kNormalized;
  std::vector<TaskItem> items;
};

// The items of a JSONL text: one record a line, all of one kind (eval/task_records.h); lines of white space
// are passed over. `limit`: only the first items; 0: all. Throws kFormat and kInvalid naming `what` and the
// line. name, path and sha256 stay empty.
Task parse_task(std::string_view text, std::string_view what, int64_t limit = 0);

// The same from a file. Also throws kNotFound, kIo, and kFormat when it is 2 GiB or longer.
Task read_task(const std::filesystem::path& path, int64_t limit = 0);

// Files as they are named, and the *.jsonl files of folders, sorted. Throws kNotFound when a path does not
// exist or a folder holds none, and kInvalid when two tasks would have one name.
std::vector<std::filesystem::path> find_task_files(std::span<const std::string> paths);

}  // namespace pare
