// pare sparsify and pare compress: what they write, and what they refuse.
#include "cli/pare_command.h"
#include "model/load.h"
#include "model/visit.h"

namespace pare::test {
namespace {

using Arguments = std::vector<std::string>;
namespace fs = std::filesystem;

const std::string kCalibration = PARE_GOLDEN_DIR "/text/calibration.txt";

Arguments command_line(const fs::path& out, const Arguments& options) {
  Arguments arguments = {"sparsify",   kTinyModel,   "-o", out.string(), "--calib",
                         kCalibration, "--nsamples", "8",  "--seqlen",   "64"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  return arguments;
}

// Values of the linears of the blocks that are not zero, and how many bytes hold a negative zero.
struct Values {
  int64_t all = 0;
  int64_t not_zero = 0;
  int64_t negative_zeros = 0;
};

Values block_values(const fs::path& folder) {
  Values count;
  for (const Block& block : load_model(folder).blocks)
    for (const Stage& stage : block.stages)
      for_each_linear(stage, [&](Role, const Linear& linear) {
        const Matrix<float> values = decode(linear.weight);
        for (int64_t i = 0; i < values.size(); ++i) {
          const float v = values.data()[i];
          ++count.all;
          count.not_zero += v != 0.0f ? 1 : 0;
          count.negative_zeros += v == 0.0f && std::signbit(v) ? 1 : 0;
        }
      });
  return count;
}

struct Way {
  Arguments options;
  double share;  // of the block's weights that stays at most
};

void PrintTo(const Way& way, std::ostream* out) { *out << fmt::format("{}", fmt::join(way.options, " ")); }

class SparsifyCommand : public ::testing::TestWithParam<Way> {};

INSTANTIATE_TEST_SUITE_P(
    Ways, SparsifyCommand,
    ::testing::Values(Way{{}, 0.5}, Way{{"--method", "wanda", "--pattern", "4:8"}, 0.5},
                      Way{{"--method", "ria", "--pattern", "3:4", "--sequential", "no"}, 0.75},
                      Way{{"--method", "magnitude", "--pattern", "1:2", "--dtype", "f16"}, 0.5},
                      Way{{"--method", "sparsegpt", "--pattern", "6:8", "--match", "model"}, 0.75},
                      Way{{"--method", "esparse", "--shuffle", "both", "--update", "obs"}, 0.5},
                      Way{{"--method", "wanda", "--shuffle", "both", "--shuffle-objective", "error"}, 0.5},
                      Way{{"--method", "sparsegpt", "--calib", "self"}, 0.5},
                      Way{{"--method", "wanda", "--mix", "1:4", "--target-bytes", "0.6"}, 0.5},
                      Way{{"--best", "--pattern", "2:8"}, 0.25}));

TEST_P(SparsifyCommand, WritesAModelThatTheOthersOpen) {
  const TempDir folder;
  const fs::path out = folder / "out";
  const Json report = pare_json(command_line(out, GetParam().options));
  EXPECT_EQ(parse_json(file_contents(out / "pare.json"), "pare.json"), report);
  const Values values = block_values(out);
  EXPECT_LE(static_cast<double>(values.not_zero), GetParam().share * static_cast<double>(values.all));
  EXPECT_EQ(values.negative_zeros, 0);
  EXPECT_EQ(report["sparsity"].size(), 28u);
  const Json eval =
      pare_json({"eval", kTinyModel, out.string(), "--ppl", kTestText, "--seqlen", "64", "--windows", "8"});
  EXPECT_NE(eval["models"][1]["perplexity"], eval["models"][0]["perplexity"]);
  EXPECT_LT(eval["models"][1]["perplexity"].get<double>(),
            384.0);  // better than a guess among the vocabulary
}

TEST(SparsifyCommands, WeightsThatStayAreUnchanged) {
  const TempDir folder;
  pare_json(command_line(folder / "out", {"--shuffle", "none"}));
  const Model dense = load_model(kTinyModel);
  const Model sparse = load_model(folder / "out");
  for (size_t b = 0; b < dense.blocks.size(); ++b)
    for (size_t s = 0; s < dense.blocks[b].stages.size(); ++s) {
      std::vector<Matrix<float>> before;
      for_each_linear(dense.blocks[b].stages[s],
                      [&](Role, const Linear& linear) { before.push_back(decode(linear.weight)); });
      size_t i = 0;
      for_each_linear(sparse.blocks[b].stages[s], [&](Role, const Linear& linear) {
        const Matrix<float> after = decode(linear.weight);
        const Matrix<float>& old = before[i++];
        for (int64_t k = 0; k < after.size(); ++k)
          ASSERT_TRUE(after.data()[k] == 0.0f || after.data()[k] == old.data()[k]);
      });
    }
}

TEST(SparsifyCommands, SameBytesForEveryThreadCount) {
  const TempDir folder;
  for (const char* threads : {"1", "2"})
    pare_json(
        command_line(folder / threads, {"--method", "sparsegpt", "--shuffle", "both", "--threads", threads}));
  EXPECT_TRUE(file_contents(folder / "1/model.safetensors") == file_contents(folder / "2/model.safetensors"));
}

TEST(SparsifyCommands, FormatsHoldTheSameModel) {
  const TempDir folder;
  const auto perplexity = [&](const char* name) {
    return pare_json({"eval", (folder / name).string(), "--ppl", kTestText, "--seqlen", "64", "--windows",
                      "8"})["models"][0]["perplexity"];
  };
  for (const char* format : {"dense", "packed", "sparse-24-bitmask"})
    pare_json(command_line(folder / format, {"--method", "wanda", "--format", format}));
  EXPECT_EQ(perplexity("packed"), perplexity("dense"));
  EXPECT_EQ(perplexity("sparse-24-bitmask"), perplexity("dense"));
  const auto bytes = [&](const char* name) { return fs::file_size(folder / name / "model.safetensors"); };
  EXPECT_LT(bytes("packed"), bytes("dense"));
  const Json int8 = pare_json(
      command_line(folder / "int8", {"--method", "wanda", "--format", "packed", "--dtype", "int8"}));
  EXPECT_LT(bytes("int8"), bytes("packed"));
  EXPECT_LT(int8["after"]["bytes"].get<int64_t>(), int8["before"]["bytes"].get<int64_t>());
}

TEST(CompressCommand, RunsTheRecipeOfATextOrAFile) {
  const TempDir folder;
  const std::string file =
      folder.file("recipe", "# first narrower\nslice:0.1\nsparsify:2:4:method=wanda:ignore=q\n").string();
  const auto compress = [&](const char* name, const std::string& recipe) {
    return pare_json({"compress", kTinyModel, "-o", (folder / name).string(), "--calib", kCalibration,
                      "--nsamples", "8", "--seqlen", "64", "--recipe", recipe});
  };
  const Json report = compress("a", "slice:0.1, sparsify:2:4:method=wanda:ignore=q");
  EXPECT_EQ(report["recipe"]["passes"].size(), 2u);
  EXPECT_LT(report["after"]["parameters"].get<double>(), 0.91 * report["before"]["parameters"].get<double>());
  EXPECT_EQ(report["sparsity"].size(), 24u);
  EXPECT_EQ(compress("b", file), report);
}

// A run that must fail and leave nothing under the name of its output.
void expect_refused(const Arguments& options, int status, const std::string& message) {
  SCOPED_TRACE(testing::PrintToString(options));
  const TempDir folder;
  expect_failure(command_line(folder / "out", options), status, message);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(SparsifyErrors, Usage) {
  for (const char* pattern : {"4:2", "2:2", "0:4", "2:64", "two:four", ""})
    expect_refused({"--pattern", pattern}, 2, "is not N:M");
  expect_refused({"--method", "guess"}, 2, "--method");
  expect_refused({"--update", "all"}, 2, "--update");
  expect_refused({"--norm", "max"}, 2, "--norm");
  expect_refused({"--bins", "0"}, 2, "--bins");
  expect_refused({"--alpha", "-1"}, 2, "--alpha is -1");
  expect_refused({"--alpha", "nan"}, 2, "--alpha is nan");
  expect_refused({"--damping", "0"}, 2, "--damping is 0");
  expect_refused({"--match", "model", "--sequential", "no"}, 2, "--match model");
  expect_refused({"--targets", "("}, 2, "regular expression");
  expect_refused({"--shuffle", "some"}, 2, "--shuffle");
  expect_refused({"--shuffle-streams", "all"}, 2, "--shuffle-streams");
  expect_refused({"--best", "--method", "wanda"}, 2, "--best");
  expect_refused({"--dtype", "int8"}, 2, "--format packed");
  expect_refused({"--pattern", "4:8", "--format", "sparse-24-bitmask"}, 2, "2:4");
  expect_refused({"--shuffle-block", "1"}, 2, "--shuffle-block");
}

TEST(SparsifyErrors, Models) {
  expect_refused({"--targets", "head"}, 1, "leave no linear");
  expect_refused({"--pattern", "3:5"}, 1, "layers.0.q has 64 columns");
}

TEST(CompressErrors, Recipes) {
  const auto expect = [](const std::string& recipe, const std::string& message) {
    const TempDir folder;
    expect_failure({"compress", kTinyModel, "-o", (folder / "out").string(), "--recipe", recipe}, 2, message);
    EXPECT_TRUE(fs::is_empty(folder.path()));
  };
  expect("", "names no pass");
  expect("# nothing", "names no pass");
  expect("shrink:0.1", "there is no pass 'shrink'");
  expect("slice:1.5", "'1.5' is not a share");
  expect("slice:0.1,sparsify:5:4", "'sparsify:5:4': pattern '5:4' is not N:M");
  expect("sparsify:2:4:method=guess", "--method");
  expect("sparsify:2:4:colour=red", "colour");
  expect("slice", "either --target-params or --sparsity");
}

}  // namespace
}  // namespace pare::test
