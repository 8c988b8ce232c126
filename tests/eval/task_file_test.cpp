#include "eval/task_file.h"

#include "base/hash.h"
#include "base/log.h"
#include "support/expect_error.h"
#include "support/gzip.h"
#include "support/temp_dir.h"

namespace pare {
namespace {

const std::string kItem = R"({"context": "c", "choices": ["a", "b"], "gold": 1})";
const std::string kOther = R"({"text": "a b"})";

TEST(TaskFile, ReadsLines) {
  const Task task = parse_tasks(kItem + "\n\n  \r\n" + kItem + "\r\n" + kItem, "f").front();
  EXPECT_EQ(task.items.size(), 3u);
  EXPECT_EQ(task.kind, "choices");
  EXPECT_EQ(task.metrics, TaskMetrics::kNormalized);
  EXPECT_EQ(parse_tasks(kOther + "\n", "f").front().metrics, TaskMetrics::kLastWord);
}

TEST(TaskFile, TheLimitIsOfItems) {
  const std::string text = kItem + "\n\n" + kItem + "\nbroken\n";
  EXPECT_EQ(parse_tasks(text, "f", 1).front().items.size(), 1u);
  EXPECT_EQ(parse_tasks(text, "f", 2).front().items.size(), 2u);
  EXPECT_PARE_ERROR(parse_tasks(text, "f", 3), ErrorCode::kFormat, "f:4: not valid JSON");
  EXPECT_EQ(parse_tasks(kItem, "f", 100).front().items.size(), 1u);
}

TEST(TaskFile, ErrorsNameTheLine) {
  EXPECT_PARE_ERROR(parse_tasks(kItem + "\n" + kItem.substr(0, 20), "f", 0), ErrorCode::kFormat, "f:2: ");
  EXPECT_PARE_ERROR(parse_tasks(kItem + "\n" + kItem + " " + kItem, "f", 0), ErrorCode::kFormat, "f:2: ");
  EXPECT_PARE_ERROR(parse_tasks(kItem + "\n{\"x\": 1}", "f", 0), ErrorCode::kFormat, "f:2: no known kind");
  EXPECT_PARE_ERROR(parse_tasks("\n" + kItem + "\n" + kOther, "f"), ErrorCode::kFormat,
                    "f:3: a record of LAMBADA among records of choices");
  EXPECT_PARE_ERROR(parse_tasks("\xff\n", "f"), ErrorCode::kFormat, "f:1: not valid JSON");
}

TEST(TaskFile, ReadsLists) {
  EXPECT_EQ(parse_tasks("\n [" + kItem + ",\n" + kItem + "]\n", "f").front().items.size(), 2u);
  EXPECT_EQ(parse_tasks("[" + kItem + ", 1]", "f", 1).front().items.size(), 1u);
  EXPECT_PARE_ERROR(parse_tasks("[" + kItem + ", 1]", "f"), ErrorCode::kFormat,
                    "f: record 2: expected a JSON object, got number");
  EXPECT_PARE_ERROR(parse_tasks("[" + kItem + "," + kOther + "]", "f"), ErrorCode::kFormat,
                    "f: record 2: a record of LAMBADA among records of choices");
  EXPECT_PARE_ERROR(parse_tasks("[" + kItem, "f"), ErrorCode::kFormat, "f: not valid JSON");
  EXPECT_PARE_ERROR(parse_tasks("[]", "f"), ErrorCode::kFormat, "f holds no items");
}

TEST(TaskFile, ASetMayBeReadForSeveralTasks) {
  const std::string record = R"({"question": "q", "mc1_targets": {"choices": ["a", "b"], "labels": [1, 0]},)"
                             R"( "mc2_targets": {"choices": ["a", "b", "c"], "labels": [1, 1, 0]}})";
  const test::TempDir folder;
  const std::vector<Task> tasks = read_tasks(folder.file("truthful.jsonl", record));
  ASSERT_EQ(tasks.size(), 2u);
  EXPECT_EQ(tasks[0].name, "truthful_mc1");
  EXPECT_EQ(tasks[0].kind, "TruthfulQA mc1");
  EXPECT_EQ(tasks[0].metrics, TaskMetrics::kAccuracy);
  EXPECT_EQ(tasks[0].items[0].requests.size(), 2u);
  EXPECT_EQ(tasks[1].name, "truthful_mc2");
  EXPECT_EQ(tasks[1].kind, "TruthfulQA mc2");
  EXPECT_EQ(tasks[1].metrics, TaskMetrics::kTrueMass);
  EXPECT_EQ(tasks[1].items[0].truths, (std::vector<bool>{true, true, false}));
  EXPECT_EQ(tasks[1].sha256, tasks[0].sha256);
}

TEST(TaskFile, FieldsThatCannotMatterAreNamed) {
  std::string warned;
  set_log_sink([&](LogLevel, std::string_view message) { warned += message; });
  const auto tasks = parse_tasks(R"({"context": "c", "choices": ["a", "b"], "gold": 1, "score": 0.5})", "f");
  set_log_sink({});
  EXPECT_EQ(tasks.front().items.size(), 1u);
  EXPECT_EQ(warned, "f: records of choices are read without the fields score");
}

// Python and pandas write NaN for what is missing.
TEST(TaskFile, UnusedFieldsMayHoldNumbersThatAreNone) {
  const std::string item =
      R"({"context": "NaN, \"Infinity", "choices": ["a", "b"], "gold": 1, "score": NaN, "low": -Infinity, "high": Infinity})";
  for (const std::string& text : {item, item + "\n" + item, "[" + item + ", " + item + "]"}) {
    const auto tasks = parse_tasks(text, "f");
    EXPECT_EQ(tasks.front().items[0].requests[1].context, "NaN, \"Infinity");
    EXPECT_EQ(tasks.front().items[0].gold, 1);
  }
  const std::string hidden = R"({"context": "c", "choices": ["a", "b"], "gold": NaN})";
  EXPECT_PARE_ERROR(parse_tasks(hidden, "f"), ErrorCode::kInvalid, "the answer is hidden");
}

TEST(TaskFile, UnpacksGzipAndLeavesTheMarkOut) {
  const test::TempDir folder;
  const Task plain = read_tasks(folder.file("a.jsonl", kItem)).front();
  const Task packed = read_tasks(folder.file("b.jsonl.gz", test::gzip(kItem))).front();
  const Task marked = read_tasks(folder.file("c.json", "\xef\xbb\xbf" + kItem)).front();
  EXPECT_EQ(packed.name, "b");
  EXPECT_EQ(packed.sha256, plain.sha256);
  EXPECT_EQ(packed.items[0].requests[1].continuation, plain.items[0].requests[1].continuation);
  EXPECT_EQ(marked.items.size(), 1u);
  EXPECT_PARE_ERROR(read_tasks(folder.file("d.parquet", "PAR1....PAR1")), ErrorCode::kFormat,
                    "is not UTF-8 text but Parquet: write it as lines of JSON");
}

TEST(TaskFile, AnEmptyFileIsAnError) {
  EXPECT_PARE_ERROR(parse_tasks("", "f"), ErrorCode::kFormat, "f holds no items");
  EXPECT_PARE_ERROR(parse_tasks("\n \n", "f"), ErrorCode::kFormat, "f holds no items");
}

TEST(TaskFile, NamesTheTaskAndItsBytes) {
  const test::TempDir folder;
  const Task task = read_tasks(folder.file("my.task.jsonl", kItem)).front();
  EXPECT_EQ(task.name, "my.task");
  EXPECT_EQ(task.path, (folder / "my.task.jsonl").string());
  EXPECT_EQ(task.sha256, sha256_hex(kItem));
  EXPECT_PARE_ERROR(read_tasks(folder / "none.jsonl"), ErrorCode::kNotFound, "none.jsonl");
}

TEST(TaskFile, FoldersGiveTheirJsonlFilesSorted) {
  const test::TempDir folder;
  const test::TempDir empty;
  folder.file("b.jsonl", kItem);
  folder.file("a.jsonl", kItem);
  folder.file("c.jsonl.gz", test::gzip(kItem));
  folder.file("readme.md", "");
  const std::string one = empty.file("d.txt", kItem).string();
  const std::vector<std::string> paths = {one, folder.path().string()};
  EXPECT_EQ(find_task_files(paths), (std::vector<std::filesystem::path>{
                                        one, folder / "a.jsonl", folder / "b.jsonl", folder / "c.jsonl.gz"}));
  EXPECT_TRUE(find_task_files({}).empty());
  const std::vector<std::string> none = {empty.path().string()};
  EXPECT_PARE_ERROR(find_task_files(none), ErrorCode::kNotFound, "holds no .jsonl files");
  const std::vector<std::string> missing = {(empty / "x").string()};
  EXPECT_PARE_ERROR(find_task_files(missing), ErrorCode::kNotFound,
                    "does not exist: tasks are files, made e.g. with datasets");
  const std::vector<std::string> twice = {folder.path().string(), (folder / "a.jsonl").string()};
  EXPECT_PARE_ERROR(find_task_files(twice), ErrorCode::kInvalid, "another task is called a");
}

}  // namespace
}  // namespace pare
