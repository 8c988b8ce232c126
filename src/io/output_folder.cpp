#include "io/output_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/log.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

// Marks a partial folder as ours and is locked as long as a run writes there. Its text says what is there:
// nothing of worth (empty), work that a run can go on with, or everything.
constexpr const char* kMarker = ".pare-partial";
// States of the marker. All have one length: one replaces the other in a single write.
constexpr const char* kUnfinished = "unfinished\n";
constexpr const char* kComplete = "complete!!\n";
constexpr const char* kWork = ".work";

fs::path resolve(const fs::path& path) {
  std::error_code error;
  fs::path result = fs::weakly_canonical(fs::absolute(path), error);
  if (error) fail(ErrorCode::kIo, "cannot resolve {}: {}", path.string(), error.message());
  return result.has_filename() ? result : result.parent_path();
}

bool is_inside(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
}

// Returns the state of the path itself, symbolic links not followed.
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

// Returns kUnfinished, kComplete, or an empty text: nothing of worth.
std::string state_of(const fs::path& folder) {
  std::ifstream stream(folder / kMarker);
  const std::string state{std::istreambuf_iterator<char>(stream), {}};
  return state == kUnfinished || state == kComplete ? state : "";
}

// Returns the locked marker of a leftover, −1 if there is nothing.
int lock_leftover(const fs::path& partial) {
  if (type_of(partial) == fs::file_type::not_found) return -1;
  const bool is_folder = type_of(partial) == fs::file_type::directory;
  const int lock = is_folder ? open_locked(partial / kMarker, 0) : -1;
  if (lock < 0 && !(is_folder && is_empty_folder(partial)))
    fail(ErrorCode::kInvalid, "{} is in the way and not the leftover of an unfinished run: move it elsewhere",
         partial.string());
  return lock;
}

void remove_leftover(const fs::path& partial) {
  if (type_of(partial) == fs::file_type::not_found) return;
  log_warning("{} is left from an unfinished run and is replaced", partial.string());
  std::error_code error;
  fs::remove_all(partial, error);
  if (error) fail(ErrorCode::kIo, "cannot remove {}: {}", partial.string(), error.message());
}

// Removes everything in the folder but the marker and the work.
void remove_results(const fs::path& partial) {
  std::error_code error;
  for (fs::directory_iterator it(partial, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name == kMarker || name == kWork) continue;
    fs::remove_all(it->path(), error);
    if (error) break;
  }
  if (error) fail(ErrorCode::kIo, "cannot clear {}: {}", partial.string(), error.message());
}

}  // namespace

fs::path OutputFolder::partial_of(const fs::path& final_path) {
  fs::path partial = resolve(final_path);
  partial += ".partial";
  return partial;
}

OutputFolder::OutputFolder(const fs::path& final_path, const fs::path& input, Leftover leftover,
                           OutputKind kind)
    : kind_(kind), final_(resolve(final_path)), partial_(partial_of(final_path)) {
  if (!input.empty()) {
    const fs::path source = resolve(input);
    if (source == final_) fail(ErrorCode::kInvalid, "the output {} is the input", final_.string());
    if (is_inside(source, partial_))
      fail(ErrorCode::kInvalid, "the input is inside {}, which the output needs", partial_.string());
  }
  const fs::file_type type = type_of(final_);
  if (kind == OutputKind::kFile && type != fs::file_type::not_found && !was_moved(leftover))
    fail(ErrorCode::kInvalid, "the output {} exists", final_.string());
  if (kind == OutputKind::kFolder && type != fs::file_type::not_found && type != fs::file_type::directory)
    fail(ErrorCode::kInvalid, "the output {} exists and is not a folder", final_.string());
  if (type == fs::file_type::directory && leftover == Leftover::kContinue &&
      state_of(final_) == kComplete) {  // the interrupted run had even renamed it
    partial_ = final_;
    lock_ = open_locked(partial_ / kMarker, 0);
    continued_ = complete_ = kept_ = true;
    return;
  }
  if (type == fs::file_type::directory && !is_empty_folder(final_))
    fail(ErrorCode::kInvalid, "the output folder {} exists and is not empty", final_.string());
  if (type_of(final_.parent_path()) != fs::file_type::directory)
    fail(ErrorCode::kIo, "the parent folder {} of the output does not exist", final_.parent_path().string());
  lock_ = lock_leftover(partial_);
  const std::string state = lock_ < 0 ? "" : state_of(partial_);
  if (!state.empty() && leftover == Leftover::kContinue) {
    continued_ = kept_ = true;
    complete_ = state == kComplete;
    if (!complete_) remove_results(partial_);
    return;
  }
  const int old_lock = lock_;
  lock_ = -1;
  if (!state.empty() && leftover == Leftover::kRefuse) {
    ::close(old_lock);
    fail(ErrorCode::kInvalid,
         "{} holds the work of an interrupted run: go on with the same command and `resume`, or give "
         "`restart`, or remove it",
         partial_.string());
  }
  remove_leftover(partial_);
  if (old_lock >= 0) ::close(old_lock);

  std::error_code error;
  fs::create_directory(partial_, error);
  if (error) fail(ErrorCode::kIo, "cannot create {}: {}", partial_.string(), error.message());
  lock_ = open_locked(partial_ / kMarker, O_CREAT | O_EXCL);
  if (lock_ < 0) fail(ErrorCode::kIo, "cannot write in {}: {}", partial_.string(), std::strerror(errno));
}

// Returns whether the interrupted run had even moved its file, and only its folder is left.
bool OutputFolder::was_moved(Leftover leftover) const {
  return leftover == Leftover::kContinue && state_of(partial_) == kComplete &&
         type_of(file()) == fs::file_type::not_found;
}

OutputFolder::~OutputFolder() {
  if (lock_ < 0) return;
  std::error_code ignored;
  if (!kept_) fs::remove_all(partial_, ignored);
  ::close(lock_);
}

fs::path OutputFolder::work() const { return partial_ / kWork; }

void OutputFolder::mark(const char* state) {
  const size_t size = std::strlen(state);
  if (::pwrite(lock_, state, size, 0) != static_cast<ssize_t>(size) || ::fdatasync(lock_) != 0)
    fail(ErrorCode::kIo, "cannot write {}: {}", (partial_ / kMarker).string(), std::strerror(errno));
}

void OutputFolder::keep_unfinished() {
  if (!kept_) mark(kUnfinished);
  kept_ = true;
}

void OutputFolder::move(const fs::path& from) const {
  if (::rename(from.c_str(), final_.c_str()) != 0)
    fail(ErrorCode::kIo, "cannot rename {} to {}: {}; the finished files stay there", from.string(),
         final_.string(), std::strerror(errno));
  sync_folder(final_.parent_path());
}

void OutputFolder::commit() {
  const bool resumable = kept_;  // leftovers that cannot be resumed are simply written again
  kept_ = true;
  std::error_code error;
  if (partial_ != final_) {
    sync_folder(partial_);
    if (resumable) mark(kComplete);
    fs::remove_all(work(), error);
    if (error) fail(ErrorCode::kIo, "cannot remove {}: {}", work().string(), error.message());
    if (kind_ == OutputKind::kFolder)
      move(partial_);
    else if (type_of(file()) != fs::file_type::not_found)
      move(file());
  }
  if (kind_ == OutputKind::kFolder)
    ::unlink((final_ / kMarker).c_str());
  else
    fs::remove_all(partial_, error);
  ::close(lock_);
  lock_ = -1;
}

}  // namespace pare
