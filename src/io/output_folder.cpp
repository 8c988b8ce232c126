#include "io/output_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/log.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

// Marks a partial folder as ours and is locked as long as a run writes there.
constexpr const char* kMarker = ".pare-partial";

fs::path resolve(const fs::path& path) {
  std::error_code error;
  fs::path result = fs::weakly_canonical(fs::absolute(path), error);
  if (error) fail(ErrorCode::kIo, "cannot resolve {}: {}", path.string(), error.message());
  return result.has_filename() ? result : result.parent_path();
}

bool is_inside(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
}

// The state of the path itself, symbolic links not followed.
fs::file_type type_of(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (status.type() == fs::file_type::none)
    fail(ErrorCode::kIo, "cannot look at {}: {}", path.string(), error.message());
  return status.type();
}

bool is_empty_folder(const fs::path& path) {
  std::error_code error;
  const bool empty = fs::is_empty(path, error);
  if (error) fail(ErrorCode::kIo, "cannot list {}: {}", path.string(), error.message());
  return empty;
}

int open_locked(const fs::path& marker, int flags) {
  const int fd = ::open(marker.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0644);
  if (fd < 0) return -1;
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  ::close(fd);
  fail(ErrorCode::kIo, "{} is being written by another run", marker.parent_path().string());
}

void remove_leftover(const fs::path& partial) {
  if (type_of(partial) == fs::file_type::not_found) return;
  const bool is_folder = type_of(partial) == fs::file_type::directory;
  const int lock = is_folder ? open_locked(partial / kMarker, 0) : -1;
  if (lock < 0 && !(is_folder && is_empty_folder(partial)))
    fail(ErrorCode::kInvalid, "{} is in the way and not the leftover of an unfinished run: move it elsewhere",
         partial.string());
  log_warning("{} is left from an unfinished run and is replaced", partial.string());
  std::error_code error;
  fs::remove_all(partial, error);
  if (lock >= 0) ::close(lock);
  if (error) fail(ErrorCode::kIo, "cannot remove {}: {}", partial.string(), error.message());
}

}  // namespace

OutputFolder::OutputFolder(const fs::path& final_path, const fs::path& input) : final_(resolve(final_path)) {
  partial_ = final_;
  partial_ += ".partial";
  if (!input.empty()) {
    const fs::path source = resolve(input);
    if (source == final_) fail(ErrorCode::kInvalid, "the output {} is the input", final_.string());
    if (is_inside(source, partial_))
      fail(ErrorCode::kInvalid, "the input is inside {}, which the output needs", partial_.string());
  }
  const fs::file_type type = type_of(final_);
  if (type != fs::file_type::not_found && type != fs::file_type::directory)
    fail(ErrorCode::kInvalid, "the output {} exists and is not a folder", final_.string());
  if (type == fs::file_type::directory && !is_empty_folder(final_))
    fail(ErrorCode::kInvalid, "the output folder {} exists and is not empty", final_.string());
  if (type_of(final_.parent_path()) != fs::file_type::directory)
    fail(ErrorCode::kIo, "the parent folder {} of the output does not exist", final_.parent_path().string());
  remove_leftover(partial_);

  std::error_code error;
  fs::create_directory(partial_, error);
  if (error) fail(ErrorCode::kIo, "cannot create {}: {}", partial_.string(), error.message());
  lock_ = open_locked(partial_ / kMarker, O_CREAT | O_EXCL);
  if (lock_ < 0) fail(ErrorCode::kIo, "cannot write in {}: {}", partial_.string(), std::strerror(errno));
}

OutputFolder::~OutputFolder() {
  if (lock_ < 0) return;
  std::error_code ignored;
  std::filesystem::remove_all(partial_, ignored);
  ::close(lock_);
}

void OutputFolder::commit() {
  ::unlink((partial_ / kMarker).c_str());
  ::close(lock_);
  lock_ = -1;
  sync_folder(partial_);
  if (::rename(partial_.c_str(), final_.c_str()) != 0)
    fail(ErrorCode::kIo, "cannot rename {} to {}: {}; the finished files stay there", partial_.string(),
         final_.string(), std::strerror(errno));
  sync_folder(final_.parent_path());
}

}  // namespace pare
