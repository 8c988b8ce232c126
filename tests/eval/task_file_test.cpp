#include "eval/task_file.h"

#include "base/hash.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace pare {
namespace {

const std::string kItem = R"({"context": "c", "choices": ["a", "b"], "gold": 1})";
const std::string kOther = R"({"text": "a b"})";

TEST(TaskFile, ReadsLines) {
  const Task task = parse_task(kItem + "\n\n  \r\n" + kItem + "\r\n" + kItem, "f");
  EXPECT_EQ(task.items.size(), 3u);
  EXPECT_EQ(task.kind, "choices");
  EXPECT_EQ(task.metrics, TaskMetrics::kNormalized);
  EXPECT_EQ(parse_task(kOther + "\n", "f").metrics, TaskMetrics::kLastWord);
}

TEST(TaskFile, TheLimitIsOfItems) {
  const std::string text = kItem + "\n\n" + kItem + "\nbroken\n";
  EXPECT_EQ(parse_task(text, "f", 1).items.size(), 1u);
  EXPECT_EQ(parse_task(text, "f", 2).items.size(), 2u);
  EXPECT_PARE_ERROR(parse_task(text, "f", 3), ErrorCode::kFormat, "f:4: not valid JSON");
  EXPECT_EQ(parse_task(kItem, "f", 100).items.size(), 1u);
}

TEST(TaskFile, ErrorsNameTheLine) {
  EXPECT_PARE_ERROR(parse_task(kItem + "\n" + kItem.substr(0, 20), "f", 0), ErrorCode::kFormat, "f:2: ");
  EXPECT_PARE_ERROR(parse_task(kItem + "\n" + kItem + " " + kItem, "f", 0), ErrorCode::kFormat, "f:2: ");
  EXPECT_PARE_ERROR(parse_task(kItem + "\n{\"x\": 1}", "f", 0), ErrorCode::kFormat, "f:2: no known kind");
  EXPECT_PARE_ERROR(parse_task("\n" + kItem + "\n" + kOther, "f"), ErrorCode::kFormat,
                    "f:3: a record of LAMBADA among records of choices");
  EXPECT_PARE_ERROR(parse_task("\xff\n", "f"), ErrorCode::kFormat, "f:1: not valid JSON");
}

TEST(TaskFile, AnEmptyFileIsAnError) {
  EXPECT_PARE_ERROR(parse_task("", "f"), ErrorCode::kFormat, "f holds no items");
  EXPECT_PARE_ERROR(parse_task("\n \n", "f"), ErrorCode::kFormat, "f holds no items");
}

TEST(TaskFile, NamesTheTaskAndItsBytes) {
  const test::TempDir folder;
  const Task task = read_task(folder.file("my.task.jsonl", kItem));
  EXPECT_EQ(task.name, "my.task");
  EXPECT_EQ(task.path, (folder / "my.task.jsonl").string());
  EXPECT_EQ(task.sha256, sha256_hex(kItem));
  EXPECT_PARE_ERROR(read_task(folder / "none.jsonl"), ErrorCode::kNotFound, "none.jsonl");
}

TEST(TaskFile, FoldersGiveTheirJsonlFilesSorted) {
  const test::TempDir folder;
  const test::TempDir empty;
  folder.file("b.jsonl", kItem);
  folder.file("a.jsonl", kItem);
  folder.file("readme.md", "");
  const std::string one = empty.file("c.txt", kItem).string();
  const std::vector<std::string> paths = {one, folder.path().string()};
  EXPECT_EQ(find_task_files(paths),
            (std::vector<std::filesystem::path>{one, folder / "a.jsonl", folder / "b.jsonl"}));
  EXPECT_TRUE(find_task_files({}).empty());
  const std::vector<std::string> none = {empty.path().string()};
  EXPECT_PARE_ERROR(find_task_files(none), ErrorCode::kNotFound, "holds no .jsonl files");
  const std::vector<std::string> missing = {(empty / "x").string()};
  EXPECT_PARE_ERROR(find_task_files(missing), ErrorCode::kNotFound, "does not exist");
  const std::vector<std::string> twice = {folder.path().string(), (folder / "a.jsonl").string()};
  EXPECT_PARE_ERROR(find_task_files(twice), ErrorCode::kInvalid, "another task is called a");
}

}  // namespace
}  // namespace pare
