// Files that appear under their final name only when complete.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace pare {

// Writes PATH.tmp; commit() syncs it, renames it to PATH and syncs the folder. Destroyed without commit():
// the temporary file is removed. Every operation throws kIo naming the path and the reason.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  uint64_t position() const { return position_; }
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int fd_ = -1;
  uint64_t position_ = 0;
};

// Bytes that this process may still write to the file system of an existing folder. Throws kIo.
uint64_t free_space(const std::filesystem::path& folder);

// Whole text file, atomically.
void write_file(const std::filesystem::path& path, std::string_view text);
// Makes a rename inside the folder durable.
void sync_folder(const std::filesystem::path& folder);
// Throws kIo when the file system of `folder` has less than `bytes` free; `what` names the output.
void require_free_space(const std::filesystem::path& folder, uint64_t bytes, std::string_view what);

}  // namespace pare
