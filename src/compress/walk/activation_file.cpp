#include "compress/walk/activation_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"

namespace pare {
namespace {

size_t bytes_of(int64_t floats) { return static_cast<size_t>(floats) * sizeof(float); }

double gigabytes(int64_t floats) { return static_cast<double>(bytes_of(floats)) / 1e9; }

// Creates the file or opens an existing one of that size. Its space is reserved, since a full disk under a
// mapping is a signal instead of an error.
int open_reserved(const std::filesystem::path& path, int64_t floats, bool& was_there) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) fail(ErrorCode::kIo, "cannot open {}: {}", path.string(), std::strerror(errno));
  const auto size = static_cast<off_t>(bytes_of(floats));
  struct stat status {};
  int reason = ::fstat(fd, &status) == 0 ? 0 : errno;
  was_there = reason == 0 && status.st_size == size;
  if (reason == 0 && status.st_size > size) reason = ::ftruncate(fd, size) == 0 ? 0 : errno;
  if (reason == 0 && size > 0) reason = ::posix_fallocate(fd, 0, size);
  if (reason == 0) return fd;
  ::close(fd);
  fail(ErrorCode::kIo, "cannot reserve {:.2f} GB for activations in {}: {}", gigabytes(floats), path.string(),
       std::strerror(reason));
}

}  // namespace

ActivationFile::ActivationFile(int64_t floats) : floats_(floats) {
  if (floats == 0) return;
  void* address =
      ::mmap(nullptr, bytes_of(floats), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED)
    fail(ErrorCode::kIo, "cannot get {:.2f} GB for activations: {}", gigabytes(floats), std::strerror(errno));
  data_ = static_cast<float*>(address);
}

ActivationFile::ActivationFile(const std::filesystem::path& path, int64_t floats, bool spill)
    : floats_(floats), in_file_(true), spill_(spill) {
  const int fd = open_reserved(path, floats, was_there_);
  void* address =
      floats == 0 ? nullptr : ::mmap(nullptr, bytes_of(floats), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  const int reason = errno;
  ::close(fd);
  if (address == MAP_FAILED) fail(ErrorCode::kIo, "cannot map {}: {}", path.string(), std::strerror(reason));
  data_ = static_cast<float*>(address);
}

ActivationFile::~ActivationFile() {
  if (data_ != nullptr) ::munmap(data_, bytes_of(floats_));
}

ActivationFile::ActivationFile(ActivationFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      floats_(std::exchange(other.floats_, 0)),
      in_file_(other.in_file_),
      spill_(other.spill_),
      was_there_(other.was_there_) {}

ActivationFile& ActivationFile::operator=(ActivationFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(floats_, other.floats_);
  std::swap(in_file_, other.in_file_);
  std::swap(spill_, other.spill_);
  std::swap(was_there_, other.was_there_);
  return *this;
}

MatrixView<float> ActivationFile::rows(int64_t first, int64_t count, int64_t width) {
  PARE_CHECK(first >= 0 && count >= 0 && (first + count) * width <= floats_);
  return {data_ + first * width, count, width, width};
}

MatrixView<const float> ActivationFile::rows(int64_t first, int64_t count, int64_t width) const {
  PARE_CHECK(first >= 0 && count >= 0 && (first + count) * width <= floats_);
  return {data_ + first * width, count, width, width};
}

void ActivationFile::release(MatrixView<const float> rows) const {
  if (!spill_ || rows.rows == 0) return;
  // The file keeps what the pages hold.
  drop_pages(std::as_bytes(std::span(rows.data, rows.row(rows.rows))));
}

void ActivationFile::sync(int64_t floats) const {
  if (in_file_ && floats > 0 && ::msync(data_, bytes_of(floats), MS_SYNC) != 0)
    fail(ErrorCode::kIo, "cannot sync activations: {}", std::strerror(errno));
}

}  // namespace pare
