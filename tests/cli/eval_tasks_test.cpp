// Zero-shot tasks from the command line.
#include <algorithm>
#include <sstream>

#include "cli/pare_command.h"
#include "support/gzip.h"

namespace pare::test {
namespace {

const std::string kChoices =
    R"({"context": "In the shop on the square lived a merry", "choices": ["baker", "spade of the moon"], "gold": 0})"
    "\n"
    R"({"context": "Bram had a", "choices": ["spade", "zzz"], "gold": 0})"
    "\n"
    R"({"context": "He was", "choices": ["merry", "tired"], "gold": 1})"
    "\n";
const std::string kLastWords =
    "{\"text\": \"In the shop on the square lived a merry baker\"}\n{\"text\": \"Bram had a spade\"}\n";

class EvalTasks : public testing::Test {
 protected:
  std::string choices() const { return folder_.file("choices.jsonl", kChoices).string(); }
  std::string last_words() const { return folder_.file("words.jsonl", kLastWords).string(); }
  TempDir folder_;
};

TEST_F(EvalTasks, JsonHoldsEveryFigure) {
  const Json json = pare_json({"eval", kTinyModel, kTinyModel, "--tasks", choices() + "," + last_words()});
  ASSERT_EQ(json["tasks"].size(), 2u);
  EXPECT_EQ(json["tasks"][0]["name"], "choices");
  EXPECT_EQ(json["tasks"][0]["items"], 3);
  EXPECT_EQ(json["tasks"][0]["main_metric"], "acc_norm");
  EXPECT_EQ(json["tasks"][0]["sha256"].get<std::string>().size(), 64u);
  EXPECT_EQ(json["tasks"][1]["kind"], "LAMBADA");
  EXPECT_FALSE(json.contains("text"));
  ASSERT_EQ(json["models"].size(), 2u);
  const Json& model = json["models"][1];
  EXPECT_FALSE(model.contains("perplexity"));
  for (const char* key : {"acc", "acc_stderr", "acc_norm", "acc_norm_stderr", "items", "tokens", "seconds"})
    EXPECT_TRUE(model["tasks"]["choices"].contains(key)) << key;
  EXPECT_GT(model["tasks"]["words"]["perplexity"].get<double>(), 1.0);
  EXPECT_DOUBLE_EQ(model["tasks_mean"].get<double>(), (model["tasks"]["choices"]["acc_norm"].get<double>() +
                                                       model["tasks"]["words"]["acc"].get<double>()) /
                                                          2.0);
  EXPECT_EQ(model["tasks_kept"], 1.0);
  EXPECT_EQ(model["tasks"]["choices"]["flips"], 0.0);
  EXPECT_EQ(model["tasks_flips"], 0.0);
}

TEST_F(EvalTasks, EachTaskIsSaidWhenItIsDone) {
  const CommandResult result = pare({"eval", kTinyModel, "--tasks", choices() + "," + last_words()});
  EXPECT_EQ(result.status, 0);
  EXPECT_THAT(result.err, testing::ContainsRegex("pare: model 1, choices: [0-9.]+ ± [0-9.]+ %\n"));
  EXPECT_THAT(result.err, testing::ContainsRegex("pare: model 1, words: [0-9.]+ ± [0-9.]+ %\n"));
}

TEST_F(EvalTasks, AFolderMeansItsFilesAndTheLimitCountsItems) {
  choices();
  last_words();
  const Json json = pare_json({"eval", kTinyModel, "--tasks", folder_.path().string(), "--limit", "2"});
  EXPECT_EQ(json["tasks"][0]["name"], "choices");
  EXPECT_EQ(json["tasks"][0]["items"], 2);
  EXPECT_EQ(json["tasks"][1]["name"], "words");
  EXPECT_EQ(json["models"][0]["tasks"]["words"]["items"], 2);
}

TEST_F(EvalTasks, TablesOfTextAndTasks) {
  const std::vector<std::string> both = {"eval",    kTinyModel, "--tasks", choices(),   "--ppl",
                                         kTestText, "--seqlen", "64",      "--windows", "2"};
  const CommandResult text = pare(both);
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_THAT(text.out, testing::HasSubstr("2 windows of 64 tokens"));
  EXPECT_THAT(text.out, testing::HasSubstr("): choices, 3 items, acc_norm in %"));
  EXPECT_THAT(text.out, testing::HasSubstr("kept"));
  EXPECT_THAT(text.out, testing::HasSubstr("100.0 %"));

  std::vector<std::string> arguments = both;
  arguments.emplace_back("--markdown");
  const std::string markdown = pare(arguments).out;
  EXPECT_THAT(markdown,
              testing::HasSubstr("| model | choices | mean | kept | flips | seconds |\n|---|---:|"));
  EXPECT_THAT(markdown, testing::HasSubstr("| model | perplexity |"));

  arguments.back() = "--csv";
  const std::string csv = pare(arguments).out;
  EXPECT_THAT(
      csv, testing::StartsWith("model,perplexity,perplexity_stderr,kl,kl_99,top1,parameters,parameter_ratio,"
                               "bytes,choices,choices_stderr,choices_flips,choices_kind,tasks_mean,"
                               "tasks_mean_stderr,tasks_kept,tasks_flips\n"));
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 2);
  EXPECT_EQ(std::count(csv.begin(), csv.end(), ','), 2 * 16);
}

TEST_F(EvalTasks, TheKindStandsInEveryHeading) {
  const std::string record =
      R"({"question": "Who?", "mc1_targets": {"choices": ["Ada", "Bram"], "labels": [1, 0]},)"
      R"( "mc2_targets": {"choices": ["Ada", "Nora", "Bram"], "labels": [1, 1, 0]}})";
  const std::string file = folder_.file("truthful.jsonl", record).string();
  const std::string samples = (folder_ / "samples").string();
  const CommandResult text = pare({"eval", kTinyModel, "--tasks", file, "--samples", samples});
  EXPECT_THAT(text.out, testing::HasSubstr("): TruthfulQA mc1, 1 items, acc in %"));
  EXPECT_THAT(text.out, testing::HasSubstr("truthful_mc2 (TruthfulQA mc2)"));
  EXPECT_THAT(pare({"eval", kTinyModel, "--tasks", file, "--csv"}).out,
              testing::HasSubstr(
                  ",truthful_mc1,truthful_mc1_stderr,truthful_mc1_flips,truthful_mc1_kind,truthful_mc2,"));
  const Json json = pare_json({"eval", kTinyModel, "--tasks", file});
  EXPECT_EQ(json["tasks"][1]["kind"], "TruthfulQA mc2");
  EXPECT_EQ(json["models"][0]["tasks"]["truthful_mc1"]["flips"], 0.0);
  EXPECT_TRUE(json["models"][0]["tasks"]["truthful_mc2"]["flips"].is_null());
  EXPECT_EQ(json["models"][0]["tasks_flips"], 0.0);
  const double mass = json["models"][0]["tasks"]["truthful_mc2"]["acc"].get<double>();
  EXPECT_GT(mass, 0.0);
  EXPECT_LT(mass, 1.0);
  EXPECT_THAT(file_contents(samples), testing::HasSubstr("\"true_mass\":"));
}

TEST_F(EvalTasks, ListsAndGzipAreReadAsLinesAre) {
  const std::string list =
      folder_.file("list.json", "[" + kLastWords.substr(0, kLastWords.find('\n')) + "]").string();
  const std::string packed = folder_.file("packed.jsonl.gz", gzip(kLastWords)).string();
  const Json json = pare_json({"eval", kTinyModel, "--tasks", last_words() + "," + packed + "," + list});
  const Json& tasks = json["models"][0]["tasks"];
  EXPECT_EQ(tasks["words"]["perplexity"], tasks["packed"]["perplexity"]);
  EXPECT_EQ(json["tasks"][0]["sha256"], json["tasks"][1]["sha256"]);
  EXPECT_EQ(tasks["list"]["items"], 1);
}

TEST_F(EvalTasks, SubjectsHaveTheirOwnFigures) {
  const std::string lines =
      R"({"question": "q", "subject": "one", "choices": ["a", "b", "c", "d"], "answer": 0})"
      "\n"
      R"({"question": "q", "subject": "two", "choices": ["a", "b", "c", "d"], "answer": 1})";
  const std::string file = folder_.file("mmlu.jsonl", lines).string();
  const Json json = pare_json({"eval", kTinyModel, "--tasks", file});
  const Json& task = json["models"][0]["tasks"]["mmlu"];
  EXPECT_EQ(task["subjects"].size(), 2u);
  EXPECT_DOUBLE_EQ(
      (task["subjects"]["one"]["acc"].get<double>() + task["subjects"]["two"]["acc"].get<double>()) / 2.0,
      task["acc"].get<double>());
}

TEST_F(EvalTasks, CsvOfPerplexityAlone) {
  const CommandResult result =
      pare({"eval", kTinyModel, "--ppl", kTestText, "--seqlen", "64", "--windows", "2", "--csv"});
  EXPECT_THAT(result.out,
              testing::StartsWith("model,perplexity,perplexity_stderr,kl,kl_99,top1,parameters,"));
  EXPECT_THAT(result.out, testing::HasSubstr("\n" + kTinyModel + ","));
}

TEST_F(EvalTasks, SamplesSayWhatEachItemScored) {
  const std::string samples = (folder_ / "samples").string();
  const Json json =
      pare_json({"eval", kTinyModel, "--tasks", choices() + "," + last_words(), "--samples", samples});
  const std::string lines = file_contents(samples);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 5);
  double right = 0.0;
  std::istringstream stream(lines);
  for (std::string line; std::getline(stream, line);) {
    const Json sample = parse_json(line, "sample");
    if (sample["task"] == "words") {
      EXPECT_EQ(sample["loglikelihoods"].size(), 1u);
      EXPECT_TRUE(sample["greedy"].is_boolean());
      continue;
    }
    EXPECT_EQ(sample["loglikelihoods"].size(), 2u);
    right += sample["choice_norm"] == sample["gold"];
  }
  EXPECT_DOUBLE_EQ(json["models"][0]["tasks"]["choices"]["acc_norm"].get<double>(), right / 3.0);
}

// One item has no spread, so its error is unknown and not 0.
TEST_F(EvalTasks, AnUnknownErrorIsNoZero) {
  const std::vector<std::string> arguments = {"eval",     kTinyModel, "--tasks", choices(), "--limit",   "1",
                                              "--seqlen", "64",       "--ppl",   kTestText, "--windows", "1"};
  const CommandResult text = pare(arguments);
  EXPECT_EQ(text.out.find("± 0"), std::string::npos) << text.out;
  std::vector<std::string> with_json = arguments;
  with_json.emplace_back("--json");
  const Json model = parse_json(pare(with_json).out, "output").at("models").at(0);
  EXPECT_TRUE(model.at("standard_error").is_null()) << model;
  EXPECT_TRUE(model.at("tasks").at("choices").at("acc_norm_stderr").is_null()) << model;
}

TEST_F(EvalTasks, WhatCannotBeRead) {
  expect_failure({"eval", kTinyModel, "--tasks", "/nonexistent"}, 1, "/nonexistent does not exist");
  expect_failure({"eval", kTinyModel, "--tasks", folder_.path().string()}, 1, "holds no .jsonl files");
  const std::string empty = folder_.file("empty.jsonl", "").string();
  expect_failure({"eval", kTinyModel, "--tasks", empty}, 1, "empty.jsonl holds no items");
  const std::string broken = folder_.file("broken.jsonl", kChoices + "{\"context\": ").string();
  expect_failure({"eval", kTinyModel, "--tasks", broken}, 1, "broken.jsonl:4: not valid JSON");
  const std::string mixed = folder_.file("mixed.jsonl", kChoices + kLastWords).string();
  expect_failure({"eval", kTinyModel, "--tasks", mixed}, 1, "mixed.jsonl:4: a record of LAMBADA");
  const std::string unwritable = (folder_ / "none" / "samples").string();
  expect_failure({"eval", kTinyModel, "--tasks", choices(), "--samples", unwritable}, 1,
                 (folder_ / "none").string());
  const std::string indented = folder_.file("indented.jsonl", "{\n  \"context\": \"a\"\n}\n").string();
  expect_failure({"eval", kTinyModel, "--tasks", indented}, 1, "indented.jsonl:1: the record goes on");
  const std::string web =
      folder_.file("c4.jsonl", R"({"text": "a b", "url": "u", "timestamp": "t"})").string();
  expect_failure({"eval", kTinyModel, "--tasks", web}, 1, "c4.jsonl:1: this looks like C4");
  const std::string columns = folder_.file("a.parquet", "PAR1....PAR1").string();
  expect_failure({"eval", kTinyModel, "--tasks", columns}, 1, "a.parquet is not UTF-8 text but Parquet");
  expect_failure({"eval", kTinyModel, "--tasks", "piqa"}, 1,
                 "piqa does not exist: tasks are files, made e.g. with datasets");
  const std::string longer =
      folder_.file("long.jsonl", "{\"text\": \"a b" + std::string(2000, 'x') + "\"}").string();
  expect_failure({"eval", kTinyModel, "--tasks", longer}, 1, "long.jsonl: item 1: a continuation of");
}

// The tasks themselves, a model, a text or a device: nothing that is there is overwritten.
TEST_F(EvalTasks, SamplesOverwriteNothing) {
  const std::string tasks = choices();
  const std::string other = folder_.file("other.partial.tmp", "precious").string();
  for (const std::string& there : {tasks, other, std::string("/dev/null")}) {
    expect_failure({"eval", kTinyModel, "--tasks", tasks, "--samples", there}, 1, there + " exists");
    EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  }
  EXPECT_EQ(file_contents(tasks), kChoices);
  EXPECT_EQ(file_contents(other), "precious");
}

TEST_F(EvalTasks, WrongUsage) {
  const std::string tasks = choices();
  const std::vector<std::vector<std::string>> usages = {
      {"--tasks", tasks, "--limit", "0"},       {"--tasks", tasks, "--limit", "x"},
      {"--tasks", tasks, "--seqlen", "64"},     {"--ppl", kTestText, "--limit", "1"},
      {"--ppl", kTestText, "--samples", "x"},   {"--tasks", tasks, "--csv", "--json"},
      {"--tasks", tasks, "--csv", "--markdown"}};
  for (std::vector<std::string> arguments : usages) {
    SCOPED_TRACE(testing::PrintToString(arguments));
    arguments.insert(arguments.begin(), {"eval", kTinyModel});
    expect_failure(arguments, 2, "");
  }
}

}  // namespace
}  // namespace pare::test
