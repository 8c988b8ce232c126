#include "io/output_file.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace pare {

namespace fs = std::filesystem;

OutputFile::OutputFile(const fs::path& final_path, const fs::path& input)
    : final_(fs::absolute(final_path)), partial_(final_) {
  std::error_code error;
  if (!input.empty() && fs::equivalent(final_, input, error))
    fail(ErrorCode::kInvalid, "the output {} is the input", final_.string());
  if (fs::symlink_status(final_, error).type() != fs::file_type::not_found)
    fail(ErrorCode::kInvalid, "the output {} exists", final_.string());
  if (!fs::is_directory(final_.parent_path(), error))
    fail(ErrorCode::kIo, "the parent folder {} of the output does not exist", final_.parent_path().string());
  partial_ += ".pare-partial";  // a name that no other program gives its own files
}

OutputFile::~OutputFile() {
  std::error_code ignored;
  fs::remove(partial_, ignored);
}

void OutputFile::commit() {
  // A link cannot replace a file, a rename would.
  if (::link(partial_.c_str(), final_.c_str()) != 0) {
    if (errno == EEXIST) fail(ErrorCode::kInvalid, "the output {} exists", final_.string());
    if (::rename(partial_.c_str(), final_.c_str()) != 0)  // a file system without links
      fail(ErrorCode::kIo, "cannot rename {} to {}: {}", partial_.string(), final_.string(),
           std::strerror(errno));
  }
  ::unlink(partial_.c_str());
  sync_folder(final_.parent_path());
}

void OutputText::commit(std::string_view text) {
  text_.write(text);
  text_.commit();
  file_.commit();
}

}  // namespace pare
