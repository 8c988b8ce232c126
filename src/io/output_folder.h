// A folder that appears under its final name only when complete.
#pragma once

#include <filesystem>

namespace pare {

// Files go to path(), the sibling FOLDER.partial; commit() renames it to FOLDER. Destroyed without commit():
// the partial folder is removed.
class OutputFolder {
 public:
  // Throws kInvalid when `final_path` is `input` (which may be empty: none) or is neither absent nor an empty
  // folder; kIo when its parent is missing or not writable or another process is writing there. What a killed
  // run left is replaced with a warning; a FOLDER.partial that no run of pare made is refused.
  OutputFolder(const std::filesystem::path& final_path, const std::filesystem::path& input);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  const std::filesystem::path& path() const { return partial_; }
  // Throws kIo; the complete partial folder then stays and the message names it.
  void commit();

 private:
  std::filesystem::path final_;
  std::filesystem::path partial_;
  int lock_ = -1;  // the marker file, locked
};

}  // namespace pare
