// Zero-shot tasks from files of JSON records.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/task_item.h"

namespace pare {

struct Task {
  std::string name;  // the file's, without .jsonl and .gz; "_mc1" and the like where a file holds several
  std::string path;
  std::string sha256;  // hash of the file's text, unpacked and without a byte order mark
  std::string kind;    // kind of its records
  TaskMetrics metrics = TaskMetrics::kNormalized;
  std::vector<TaskItem> items;
};

// The tasks of a text of JSON records, lines or one list, all of one kind (eval/task_records.h): one, or as
// many as the kind's records are read for. `limit`: only the first items; 0: all. Throws kFormat and kInvalid
// naming `what` and the line or record. name, path and sha256 stay empty, but for the part of a name.
std::vector<Task> parse_tasks(std::string_view text, std::string_view what, int64_t limit = 0);

// Reads the tasks of a file (text/files/text_file.h). Also throws kNotFound and kIo.
std::vector<Task> read_tasks(const std::filesystem::path& path, int64_t limit = 0);

// Returns files as named, and the *.jsonl and *.jsonl.gz files of folders, sorted. Throws kNotFound when a
// path does not exist or a folder holds none, and kInvalid when two tasks would have one name.
std::vector<std::filesystem::path> find_task_files(std::span<const std::string> paths);

}  // namespace pare
