#include "eval/task_file.h"

#include <algorithm>
#include <set>

#include "base/hash.h"
#include "base/log.h"
#include "eval/task_records.h"
#include "text/files/json_records.h"
#include "text/files/text_file.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

// Returns the file's name without the endings that say how the records are written.
std::string task_name(const fs::path& path) {
  return (path.extension() == ".gz" ? path.stem() : path).stem().string();
}

bool is_task_file(const fs::path& path) {
  return (path.extension() == ".gz" ? path.stem() : path).extension() == ".jsonl";
}

std::vector<fs::path> files_of_folder(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
       it.increment(error))
    if (is_task_file(it->path())) files.push_back(it->path());
  if (error) fail(ErrorCode::kIo, "cannot read the folder {}: {}", folder.string(), error.message());
  if (files.empty()) fail(ErrorCode::kNotFound, "{} holds no .jsonl files", folder.string());
  std::sort(files.begin(), files.end());
  return files;
}

// Makes one task for each reading, without items.
std::vector<Task> tasks_of(const RecordKind& kind) {
  std::vector<Task> tasks;
  for (const RecordReading& reading : kind.readings) {
    Task task;
    task.kind = kind.name;
    task.metrics = reading.metrics;
    if (!reading.part.empty()) {
      task.name = fmt::format("_{}", reading.part);
      task.kind += fmt::format(" {}", reading.part);
    }
    tasks.push_back(std::move(task));
  }
  return tasks;
}

}  // namespace

std::vector<Task> parse_tasks(std::string_view text, std::string_view what, int64_t limit) {
  const RecordKind* kind = nullptr;
  std::vector<Task> tasks;
  for_each_record(text, what, [&](const Json& record, std::string_view where) {
    const RecognisedRecord found = recognise_record(record, where);
    if (kind == nullptr) {
      kind = found.kind;
      tasks = tasks_of(*kind);
      if (!found.unused.empty())
        log_warning("{}: records of {} are read without the fields {}", what, kind->name, found.unused);
    } else if (found.kind != kind) {
      fail(ErrorCode::kFormat, "{}: a record of {} among records of {}", where, found.kind->name, kind->name);
    }
    for (size_t t = 0; t < tasks.size(); ++t) tasks[t].items.push_back(kind->readings[t].read(record, where));
    return limit == 0 || static_cast<int64_t>(tasks.front().items.size()) < limit;
  });
  if (tasks.empty()) fail(ErrorCode::kFormat, "{} holds no items", what);
  return tasks;
}

std::vector<Task> read_tasks(const fs::path& path, int64_t limit) {
  const std::string text = read_text_file(path);
  std::vector<Task> tasks = parse_tasks(text, path.string(), limit);
  const std::string sha256 = sha256_hex(text);
  for (Task& task : tasks) {
    task.name = task_name(path) + task.name;
    task.path = path.string();
    task.sha256 = sha256;
  }
  return tasks;
}

std::vector<fs::path> find_task_files(std::span<const std::string> paths) {
  std::vector<fs::path> files;
  for (const std::string& name : paths) {
    const fs::path path(name);
    std::error_code ignored;
    if (fs::is_directory(path, ignored)) {
      const auto own = files_of_folder(path);
      files.insert(files.end(), own.begin(), own.end());
    } else if (fs::exists(path, ignored)) {
      files.push_back(path);
    } else {
      fail(ErrorCode::kNotFound,
           "{} does not exist: tasks are files, made e.g. with datasets: load_dataset(NAME, "
           "split=\"validation\").to_json(\"{}.jsonl\")",
           path.string(), path.stem().string());
    }
  }
  std::set<std::string> names;
  for (const fs::path& file : files)
    if (!names.insert(task_name(file)).second)
      fail(ErrorCode::kInvalid, "{}: another task is called {} as well", file.string(), task_name(file));
  return files;
}

}  // namespace pare
