// A file that gets its final name only when it was written and checked.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/atomic_file.h"

namespace pare {

// The file is written as path(), the sibling FILE.pare-partial; commit() renames it to FILE. Destroyed
// without commit(): the partial file is removed. A partial file that a killed run left is replaced.
class OutputFile {
 public:
  // Throws kInvalid when `final_path` is `input` or exists, kIo when its folder does not.
  OutputFile(const std::filesystem::path& final_path, const std::filesystem::path& input);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  const std::filesystem::path& path() const { return partial_; }
  // Throws kInvalid when something has taken the name meanwhile, kIo when the operating system refuses.
  void commit();

 private:
  std::filesystem::path final_;
  std::filesystem::path partial_;
};

// A text that becomes a new file.
class OutputText {
 public:
  // Throws what OutputFile throws for a path that is no input.
  explicit OutputText(const std::filesystem::path& path) : file_(path, {}), text_(file_.path()) {}
  // Writes the whole text and gives the file its name. Throws kIo, and kInvalid as OutputFile does.
  void commit(std::string_view text);

 private:
  OutputFile file_;
  AtomicFile text_;
};

}  // namespace pare
