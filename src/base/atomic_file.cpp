#include "base/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace pare {

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)), temporary_(path_) {
  temporary_ += ".tmp";
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) fail(ErrorCode::kIo, "cannot create {}: {}", temporary_.string(), std::strerror(errno));
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  constexpr size_t kMaxChunk = size_t{1} << 30;
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), std::min(bytes.size(), kMaxChunk));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(ErrorCode::kIo, "cannot write {}: {}", temporary_.string(), std::strerror(errno));
    position_ += static_cast<uint64_t>(written);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span<const char>(text.data(), text.size())));
}

void AtomicFile::commit() {
  if (::fdatasync(fd_) != 0)
    fail(ErrorCode::kIo, "cannot sync {}: {}", temporary_.string(), std::strerror(errno));
  const int closed = ::close(fd_);
  fd_ = -1;
  if (closed != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int reason = errno;
    ::unlink(temporary_.c_str());
    fail(ErrorCode::kIo, "cannot finish {}: {}", path_.string(), std::strerror(reason));
  }
  sync_folder(path_.parent_path());
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void sync_folder(const std::filesystem::path& folder) {
  const std::filesystem::path target = folder.empty() ? std::filesystem::path(".") : folder;
  const int fd = ::open(target.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail(ErrorCode::kIo, "cannot open folder {}: {}", target.string(), std::strerror(errno));
  ::fsync(fd);  // some file systems refuse this for folders; the rename itself already succeeded
  ::close(fd);
}

uint64_t free_space(const std::filesystem::path& folder) {
  std::error_code error;
  const auto space = std::filesystem::space(folder, error);
  if (error) fail(ErrorCode::kIo, "cannot read the free space of {}: {}", folder.string(), error.message());
  return space.available;
}

void require_free_space(const std::filesystem::path& folder, uint64_t bytes, std::string_view what) {
  const uint64_t available = free_space(folder);
  if (available < bytes)
    fail(ErrorCode::kIo, "{} needs {:.2f} GB in {}, only {:.2f} GB are free", what,
         static_cast<double>(bytes) / 1e9, folder.string(), static_cast<double>(available) / 1e9);
}

}  // namespace pare
