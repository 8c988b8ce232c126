// pare compress --target-bytes and --target-decode: what is written fits, and loads where it has to.
#include "checkpoint/load.h"
#include "cli/pare_command.h"
#include "model/visit.h"

namespace pare::test {
namespace {

using Arguments = std::vector<std::string>;
namespace fs = std::filesystem;

constexpr int64_t kMetadataRoom = 30000;  // bytes that are kept for what a GGUF file says of itself

Arguments command_line(const fs::path& out, const Arguments& options) {
  return pass_command("compress", out, options);
}

int64_t size_of(const fs::path& path) { return static_cast<int64_t>(fs::file_size(path)); }

std::map<std::string, int64_t> formats_of(const fs::path& path) {
  std::map<std::string, int64_t> formats;
  const Model model = load_model(path);
  for_each_tensor(
      model, [&](const TensorPlace&, const Weight& w) { ++formats[format_name(w.format)]; },
      [](const TensorPlace&, const std::vector<float>&) {});
  return formats;
}

TEST(BudgetCommand, FilesAreAsLargeAsWasAskedFor) {
  const TempDir folder;
  const int64_t whole = size_of(kTinyModel + "/model.safetensors");
  for (const double share : {0.25, 0.35, 0.5}) {
    const auto target = static_cast<int64_t>(share * static_cast<double>(whole));
    const fs::path out = folder / fmt::format("{}", target);
    const Json report = pare_json(command_line(out, {"--target-bytes", std::to_string(target)}));
    EXPECT_LE(size_of(out / "model.safetensors"), target);
    EXPECT_GT(size_of(out / "model.safetensors"), target - 2048);
    EXPECT_EQ(report["recipe"]["budget"]["target_bytes"], target);
    EXPECT_EQ(report["formats"].size(), 29u);
    std::map<std::string, int64_t> formats;
    for (const Json& entry : report["formats"]) ++formats[entry["format"].get<std::string>()];
    EXPECT_EQ(formats, formats_of(out));
    EXPECT_GT(formats.size(), 1u);
    EXPECT_EQ(pare({"inspect", out.string()}).status, 0);
    EXPECT_EQ(pare({"generate", out.string(), "-p", "a", "-n", "3"}).status, 0);
  }
}

TEST(BudgetCommand, GgufFilesHoldWhatLlamaCppKnows) {
  const TempDir folder;
  const fs::path out = folder / "out.gguf";
  const CommandResult result = pare(command_line(out, {"--target-bytes", "0.2MB"}));
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_LE(size_of(out), 200000);
  EXPECT_GT(size_of(out), 200000 - kMetadataRoom - 2048);
  for (const auto& [format, count] : formats_of(out))
    EXPECT_THAT(format, testing::AnyOf("iq4_nl", "q5_0", "q8_0", "bf16"));
  expect_failure(pass_command("quantize", folder / "q.gguf", {"--target-bytes", "200000"}), 2,
                 "--loadable llama.cpp");
}

TEST(BudgetCommand, SharesAndRecipesSayTheSame) {
  const TempDir folder;
  const auto weights = [&](const char* name, const Arguments& options) {
    pare_json(command_line(folder / name, options));
    return file_contents(folder / name / "model.safetensors");
  };
  const int64_t parameters = pare_json({"inspect", kTinyModel})["parameters"].get<int64_t>();
  const std::string target = std::to_string(parameters * 2 * 3 / 10);
  const std::string first = weights("a", {"--target-bytes", target, "--threads", "1"});
  EXPECT_TRUE(weights("b", {"--target-ratio", "0.3", "--threads", "2"}) == first);
  EXPECT_TRUE(weights("c", {"--recipe", "quantize:target_bytes=" + target}) == first);
}

TEST(BudgetCommand, SaysWhatIsWrongWithoutATrace) {
  const TempDir folder;
  const fs::path out = folder / "out";
  expect_failure(command_line(out, {}), 2, "either --recipe or --target-bytes");
  expect_failure(command_line(out, {"--target-bytes", "1MB", "--recipe", "quantize:q4n"}), 2,
                 "quantize:target_bytes=");
  expect_failure(command_line(out, {"--loadable", "llama.cpp", "--recipe", "quantize:q4n"}), 2,
                 "--loadable is of a budget, not of --recipe");
  expect_failure(command_line(out, {"--target-bytes", "much"}), 2, "is no number of bytes");
  expect_failure(command_line(out, {"--target-bytes", "1000"}), 1, "the least that there is takes");
  expect_failure(command_line(out, {"--target-bytes", "1GB"}), 1, "nothing has to be rounded");
  expect_failure(command_line(out, {"--target-ratio", "1.5"}), 2, "--target-ratio");
  for (const Arguments& second : {Arguments{"--target-bytes", "1MB"}, Arguments{"--target-decode", "60"}})
    expect_failure(command_line(out, {"--target-ratio", "0.3", second[0], second[1]}), 2,
                   "only one of --target-bytes, --target-ratio and --target-decode");
  expect_failure(command_line(out, {"--target-decode", "fast"}), 2, "is no number of tokens a second");
  expect_failure(command_line(out, {"--target-decode", "60MB"}), 2, "is no number of tokens a second");
  expect_failure(command_line(out, {"--target-decode", "0"}), 2, "more than 0 tokens a second");
  expect_failure(command_line(out, {"--target-decode", "1e300"}), 2, "--target-decode is 1e+300, expected");
  expect_failure(command_line(out, {"--target-decode", "1e9tok/s"}), 1, "the fastest that there is decodes");
  expect_failure(command_line(out, {"--target-decode", "0.001"}), 1, "in 16 bits: nothing has to be rounded");
  expect_failure(command_line(out, {"--loadable", "pare"}), 2, "need --target-bytes");
  expect_failure(command_line(out, {"--target-bytes", "1MB", "--formats", "q9"}), 2, "q9 is not one of");
  expect_failure(command_line(out, {"--target-bytes", "1MB", "--formats", "q4n", "--loadable", "llama.cpp"}),
                 2, "--formats names q4n");
  expect_failure(pass_command("quantize", out, {"--target-bytes", "1MB", "--format", "q4n"}), 2,
                 "--format does not go with a budget");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

// The formats leave out 16 bits, so that any speed may be asked for.
TEST(BudgetCommand, SpeedsAreMeasured) {
  const TempDir folder;
  const auto budget = [&](const char* name, const Arguments& options) {
    const Json report = pare_json(command_line(folder / name, options));
    std::map<std::string, int64_t> formats;
    for (const Json& entry : report["formats"]) ++formats[entry["format"].get<std::string>()];
    EXPECT_EQ(formats, (std::map<std::string, int64_t>{{"q5_0", 29}}));
    EXPECT_EQ(formats, formats_of(folder / name));
    return report["recipe"]["budget"];
  };
  for (const Json& found : {budget("a", {"--target-decode", "0.5tok/s", "--formats", "q4n,q5_0"}),
                            budget("b", {"--recipe", "quantize:target_decode=0.5:formats=q5_0"})}) {
    EXPECT_EQ(found["target_decode"], 0.5);
    EXPECT_GT(found["foreseen_decode"], 0.5);
    EXPECT_GT(found["measured_decode"], 0.5);
    EXPECT_FALSE(found.contains("target_bytes"));
  }
}

TEST(BudgetCommand, DryRunsSayWhatItTakes) {
  const TempDir folder;
  const Json cost = pare_json(command_line(folder / "out", {"--target-ratio", "0.3", "--dry-run"}));
  EXPECT_GT(cost["seconds"], 0.0);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace pare::test
