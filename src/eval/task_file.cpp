#include "eval/task_file.h"

#include <algorithm>
#include <set>

#include "base/hash.h"
#include "base/mapped_file.h"
#include "eval/prompt_text.h"
#include "eval/task_records.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxFileBytes = (uint64_t{1} << 31) - 1;

std::vector<fs::path> files_of_folder(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
       it.increment(error))
    if (it->path().extension() == ".jsonl") files.push_back(it->path());
  if (error) fail(ErrorCode::kIo, "cannot read the folder {}: {}", folder.string(), error.message());
  if (files.empty()) fail(ErrorCode::kNotFound, "{} holds no .jsonl files", folder.string());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

Task parse_task(std::string_view text, std::string_view what, int64_t limit) {
  Task task;
  int64_t number = 0;
  while (!text.empty() && (limit == 0 || static_cast<int64_t>(task.items.size()) < limit)) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}:{}", what, number);
    const Json record = parse_json(line, where);
    const RecordKind& kind = record_kind(record, where);
    if (task.items.empty()) {
      task.kind = kind.name;
      task.metrics = kind.metrics;
    } else if (kind.name != task.kind) {
      fail(ErrorCode::kFormat, "{}: a record of {} among records of {}", where, kind.name, task.kind);
    }
    task.items.push_back(kind.read(record, where));
  }
  if (task.items.empty()) fail(ErrorCode::kFormat, "{} holds no items", what);
  return task;
}

Task read_task(const fs::path& path, int64_t limit) {
  const std::string text = read_file(path, kMaxFileBytes);
  Task task = parse_task(text, path.string(), limit);
  task.name = path.stem().string();
  task.path = path.string();
  task.sha256 = sha256_hex(text);
  return task;
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
      fail(ErrorCode::kNotFound, "{} does not exist", path.string());
    }
  }
  std::set<std::string> names;
  for (const fs::path& file : files)
    if (!names.insert(file.stem().string()).second)
      fail(ErrorCode::kInvalid, "{}: another task is called {} as well", file.string(), file.stem().string());
  return files;
}

}  // namespace pare
