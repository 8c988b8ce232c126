// A folder of its own for one test, removed afterwards.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace pare::test {

class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  // Writes a file of the folder and returns its path.
  std::filesystem::path file(std::string_view name, std::string_view content) const;

 private:
  std::filesystem::path path_;
};

}  // namespace pare::test
