#include "io/output_file.h"

#include "io/bytes.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace pare {
namespace {

namespace fs = std::filesystem;
using test::slurp;
using test::TempDir;

size_t files_in(const TempDir& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()));
}

TEST(OutputFile, AppearsWithCommit) {
  const TempDir folder;
  OutputFile file(folder / "out.gguf", folder / "in.gguf");
  folder.file("out.gguf.pare-partial", "bytes");
  EXPECT_EQ(file.path(), folder / "out.gguf.pare-partial");
  EXPECT_FALSE(fs::exists(folder / "out.gguf"));
  file.commit();
  EXPECT_EQ(slurp(folder / "out.gguf"), "bytes");
  EXPECT_EQ(files_in(folder), 1u);
}

// Browsers and other programs call their downloads so.
TEST(OutputFile, LeavesFilesOfOthersAlone) {
  const TempDir folder;
  const fs::path download = folder.file("out.gguf.partial", "precious");
  OutputFile file(folder / "out.gguf", {});
  folder.file(file.path().filename().string(), "bytes");
  file.commit();
  EXPECT_EQ(slurp(download), "precious");
}

TEST(OutputFile, LeavesNothingWithoutCommit) {
  const TempDir folder;
  {
    const OutputFile file(folder / "out.gguf", {});
    folder.file("out.gguf.pare-partial", "bytes");
  }
  EXPECT_EQ(files_in(folder), 0u);
}

TEST(OutputFile, RefusesWhatIsThere) {
  const TempDir folder;
  const fs::path there = folder.file("there.gguf", "precious");
  EXPECT_PARE_ERROR(OutputFile(there, folder / "in.gguf"), ErrorCode::kInvalid, "exists");
  fs::create_symlink(there, folder / "link.gguf");
  EXPECT_PARE_ERROR(OutputFile(folder / "link.gguf", there), ErrorCode::kInvalid, "is the input");
  fs::create_symlink(folder / "nowhere", folder / "dangling.gguf");
  EXPECT_PARE_ERROR(OutputFile(folder / "dangling.gguf", there), ErrorCode::kInvalid, "exists");
  EXPECT_PARE_ERROR(OutputFile(folder / "absent/out.gguf", there), ErrorCode::kIo, "absent");
  OutputFile late(folder / "late.gguf", {});
  folder.file("late.gguf.pare-partial", "bytes");
  folder.file("late.gguf", "precious");
  EXPECT_PARE_ERROR(late.commit(), ErrorCode::kInvalid, "exists");
  EXPECT_EQ(slurp(folder / "late.gguf"), "precious");
}

}  // namespace
}  // namespace pare
