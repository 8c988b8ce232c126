#include "io/output_folder.h"

#include <fstream>

#include "base/log.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace pare {
namespace {

namespace fs = std::filesystem;
using test::TempDir;

void touch(const fs::path& path) { std::ofstream(path) << "x"; }

TEST(OutputFolder, AppearsOnlyWhenCommitted) {
  const TempDir dir;
  OutputFolder output(dir / "out", dir / "in");
  touch(output.path() / "a");
  EXPECT_FALSE(fs::exists(dir / "out"));
  output.commit();
  EXPECT_TRUE(fs::exists(dir / "out/a"));
  EXPECT_EQ(std::distance(fs::directory_iterator(dir / "out"), {}), 1);
  EXPECT_FALSE(fs::exists(dir / "out.partial"));
}

TEST(OutputFolder, AbandonedLeavesNothing) {
  const TempDir dir;
  {
    const OutputFolder output(dir / "out", "");
    touch(output.path() / "a");
  }
  EXPECT_TRUE(fs::is_empty(dir.path()));
}

TEST(OutputFolder, ReplacesAnEmptyFolderAlsoThroughALinkOrSlash) {
  const TempDir dir;
  fs::create_directory(dir / "out");
  fs::create_directory_symlink(dir / "out", dir / "link");
  for (const char* name : {"out", "out/", "link"}) {
    OutputFolder output(dir / name, "");
    touch(output.path() / "a");
    output.commit();
    EXPECT_TRUE(fs::exists(dir / "out/a")) << name;
    fs::remove(dir / "out/a");
  }
}

TEST(OutputFolder, RefusesWhatIsInTheWay) {
  const TempDir dir;
  fs::create_directory(dir / "full");
  touch(dir / "full/a");
  EXPECT_PARE_ERROR(OutputFolder(dir / "full", ""), ErrorCode::kInvalid, "not empty");
  touch(dir / "file");
  EXPECT_PARE_ERROR(OutputFolder(dir / "file", ""), ErrorCode::kInvalid, "not a folder");
  fs::create_symlink(dir / "nowhere", dir / "dangling");
  EXPECT_PARE_ERROR(OutputFolder(dir / "dangling", ""), ErrorCode::kInvalid, "not a folder");
  EXPECT_PARE_ERROR(OutputFolder(dir / "none/out", ""), ErrorCode::kIo, "parent folder");
  EXPECT_PARE_ERROR(OutputFolder("/proc/out", ""), ErrorCode::kIo, "cannot create /proc/out.partial");
  fs::create_directory(dir / "out.partial");
  touch(dir / "out.partial/mine");
  EXPECT_PARE_ERROR(OutputFolder(dir / "out", ""), ErrorCode::kInvalid, "not the leftover");
  EXPECT_TRUE(fs::exists(dir / "out.partial/mine"));
}

TEST(OutputFolder, AFileAppearsWithoutTheRest) {
  const TempDir dir;
  {
    OutputFolder output(dir / "out.x", "", Leftover::kRefuse, OutputKind::kFile);
    EXPECT_EQ(output.file(), output.path() / "out.x");
    touch(output.file());
    touch(output.path() / "other");
    output.keep_unfinished();
    EXPECT_FALSE(fs::exists(dir / "out.x"));
    output.commit();
  }
  EXPECT_TRUE(fs::is_regular_file(dir / "out.x"));
  EXPECT_FALSE(fs::exists(dir / "out.x.partial"));
  for (const Leftover leftover : {Leftover::kRefuse, Leftover::kContinue, Leftover::kDiscard})
    EXPECT_PARE_ERROR(OutputFolder(dir / "out.x", "", leftover, OutputKind::kFile), ErrorCode::kInvalid,
                      "out.x exists");
}

TEST(OutputFolder, AFileThatWasMovedIsFinishedByTheNextRun) {
  const TempDir dir;
  fs::create_directory(dir / "out.x.partial");
  std::ofstream(dir / "out.x.partial/.pare-partial") << "complete!!\n";
  touch(dir / "out.x");
  EXPECT_PARE_ERROR(OutputFolder(dir / "out.x", "", Leftover::kRefuse, OutputKind::kFile),
                    ErrorCode::kInvalid, "exists");
  OutputFolder output(dir / "out.x", "", Leftover::kContinue, OutputKind::kFile);
  EXPECT_TRUE(output.is_complete());
  output.commit();
  EXPECT_TRUE(fs::is_regular_file(dir / "out.x"));
  EXPECT_FALSE(fs::exists(dir / "out.x.partial"));
}

TEST(OutputFolder, RefusesTheInput) {
  const TempDir dir;
  fs::create_directory(dir / "in");
  fs::create_directory_symlink(dir / "in", dir / "link");
  for (const char* name : {"in", "in/", "link", "./in", "in/../in"})
    EXPECT_PARE_ERROR(OutputFolder(dir / name, dir / "in"), ErrorCode::kInvalid, "is the input");
  EXPECT_PARE_ERROR(OutputFolder(dir / "in", dir / "link"), ErrorCode::kInvalid, "is the input");
  EXPECT_PARE_ERROR(OutputFolder(dir / "x", dir / "x.partial/model"), ErrorCode::kInvalid, "input is inside");
}

TEST(OutputFolder, ReplacesALeftoverWithAWarning) {
  const TempDir dir;
  fs::create_directory(dir / "out.partial");
  touch(dir / "out.partial/.pare-partial");
  touch(dir / "out.partial/stale");
  std::string warning;
  set_log_sink([&](LogLevel level, std::string_view message) {
    if (level == LogLevel::kWarning) warning = message;
  });
  OutputFolder output(dir / "out", "");
  set_log_sink({});
  EXPECT_THAT(warning, testing::HasSubstr("unfinished run"));
  output.commit();
  EXPECT_TRUE(fs::is_empty(dir / "out"));
}

// A run that had work to keep and did not commit.
void leave_work(const fs::path& out) {
  OutputFolder output(out, "");
  fs::create_directory(output.work());
  touch(output.work() / "step");
  touch(output.path() / "half");
  output.keep_unfinished();
}

TEST(OutputFolder, WorkIsKeptUntilItIsContinuedOrDiscarded) {
  const TempDir dir;
  leave_work(dir / "out");
  EXPECT_PARE_ERROR(OutputFolder(dir / "out", ""), ErrorCode::kInvalid, "`resume`");
  EXPECT_TRUE(fs::exists(dir / "out.partial/.work/step"));
  {
    OutputFolder output(dir / "out", "", Leftover::kContinue);
    EXPECT_TRUE(output.continued());
    EXPECT_FALSE(output.is_complete());
    EXPECT_TRUE(fs::exists(output.work() / "step"));
    EXPECT_FALSE(fs::exists(output.path() / "half"));
  }  // still not committed
  OutputFolder output(dir / "out", "", Leftover::kContinue);
  EXPECT_TRUE(output.continued());
  touch(output.path() / "a");
  output.commit();
  EXPECT_EQ(std::distance(fs::directory_iterator(dir / "out"), {}), 1);
  leave_work(dir / "other");
  OutputFolder fresh(dir / "other", "", Leftover::kDiscard);
  EXPECT_FALSE(fresh.continued());
  EXPECT_FALSE(fs::exists(fresh.work()));
}

TEST(OutputFolder, NothingToContinueIsABeginning) {
  const TempDir dir;
  OutputFolder output(dir / "out", "", Leftover::kContinue);
  EXPECT_FALSE(output.continued());
  touch(output.path() / "a");
  output.commit();
  EXPECT_TRUE(fs::exists(dir / "out/a"));
}

// Killed between the last file and the name, or between the name and the removal of the marker.
TEST(OutputFolder, ACompleteFolderIsOnlyNamed) {
  for (const char* name : {"out.partial", "out"}) {
    const TempDir dir;
    fs::create_directory(dir / name);
    touch((dir / name) / "a");
    std::ofstream((dir / name) / ".pare-partial") << "complete!!\n";
    OutputFolder output(dir / "out", "", Leftover::kContinue);
    EXPECT_TRUE(output.is_complete());
    output.commit();
    EXPECT_TRUE(fs::exists(dir / "out/a"));
    EXPECT_FALSE(fs::exists(dir / "out/.pare-partial"));
    EXPECT_FALSE(fs::exists(dir / "out.partial"));
  }
}

TEST(OutputFolder, KeepsTwoRunsApart) {
  const TempDir dir;
  OutputFolder first(dir / "out", "");
  touch(first.path() / "a");
  EXPECT_PARE_ERROR(OutputFolder(dir / "out", ""), ErrorCode::kIo, "another run");
  first.commit();
  EXPECT_TRUE(fs::exists(dir / "out/a"));
}

TEST(OutputFolder, KeepsTheFilesWhenTheNameWasTaken) {
  const TempDir dir;
  {
    OutputFolder output(dir / "out", "");
    touch(output.path() / "a");
    fs::create_directory(dir / "out");
    touch(dir / "out/other");
    EXPECT_PARE_ERROR(output.commit(), ErrorCode::kIo, "the finished files stay there");
  }
  EXPECT_TRUE(fs::exists(dir / "out.partial/a"));
}

}  // namespace
}  // namespace pare
