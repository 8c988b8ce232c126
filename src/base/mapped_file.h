// Read-only memory-mapped files and small whole-file reads.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace pare {

// A file mapped read-only for the lifetime of the object. Share it with std::shared_ptr: views keep it alive.
class MappedFile {
 public:
  // Throws kNotFound if absent, kIo if it cannot be opened, is not a regular file or cannot be mapped.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  MappedFile() = default;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::filesystem::path path_;
};

// Takes the pages of a file mapping out of the process's memory; they are read from the file again when
// touched. Only for bytes inside a MappedFile or a mapping that shares its changes with the file.
void drop_pages(std::span<const std::byte> bytes);

// Whole file as a string; throws kNotFound / kIo, and kFormat when it is longer than max_bytes or only a
// pointer of Git LFS.
std::string read_file(const std::filesystem::path& path, uint64_t max_bytes);

}  // namespace pare
