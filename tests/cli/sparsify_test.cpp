// pare sparsify and pare compress: what they write, and what they refuse.
#include "checkpoint/load.h"
#include "cli/pare_command.h"
#include "model/visit.h"

namespace pare::test {
namespace {

using Arguments = std::vector<std::string>;
namespace fs = std::filesystem;

Arguments command_line(const fs::path& out, const Arguments& options) {
  return pass_command("sparsify", out, options);
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

// A pass must not undo in silence what was there before it.
class SparseInput : public ::testing::Test {
 protected:
  SparseInput() { pare_json(command_line(sparse(), {"--method", "wanda"})); }

  fs::path sparse() const { return folder_ / "sparse"; }
  Arguments run(const char* command, const fs::path& model, const char* out, const Arguments& options) const {
    Arguments arguments = {
        command, model.string(), "-o", (folder_ / out).string(), "--calib", kCalibration, "--nsamples",
        "4",     "--seqlen",     "64"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    return arguments;
  }

  TempDir folder_;
};

TEST_F(SparseInput, SlicingHiddenStreamsKeepsThePattern) {
  const CommandResult result =
      pare(run("slice", sparse(), "out", {"--target-params", "0.9", "--streams", "hidden"}));
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.err.find("may undo"), std::string::npos) << result.err;
  EXPECT_THAT(result.out, testing::HasSubstr("28 of 28 linears are sparse in what was written: 2:4 in 28"));
  const Json written = pare_json({"inspect", (folder_ / "out").string()});
  for (const Json& matrix : written["matrices"]) {
    if (matrix["layer"].is_null()) continue;
    EXPECT_EQ(matrix["possible_pattern"], "2:4") << matrix;
  }
  // So a format that has no place for dense linears takes it.
  const Json packed = pare_json(run("slice", sparse(), "packed",
                                    {"--target-params", "0.9", "--streams", "hidden", "--format", "packed"}));
  EXPECT_EQ(packed["linears"], (Json{{"2:4", 28}}));
}

TEST_F(SparseInput, SlicingSaysWhatItUndoes) {
  const CommandResult values =
      pare(run("slice", sparse(), "out", {"--target-params", "0.9", "--streams", "hidden,value"}));
  EXPECT_EQ(values.status, 0) << values.err;
  EXPECT_THAT(values.err, testing::HasSubstr("28 linears are sparse already, and slice may undo that in 8 of "
                                             "them: v, o of 4 layers need not be 2:4 afterwards; "
                                             "--streams hidden keeps it"));
  const Json report = parse_json(file_contents(folder_ / "out" / "pare.json"), "pare.json");
  EXPECT_GE(report["linears"]["2:4"], 20) << report["linears"];
  const CommandResult rotated =
      pare(run("slice", sparse(), "rotated", {"--target-params", "0.9", "--rotation", "block", "--dry-run"}));
  EXPECT_THAT(rotated.err, testing::HasSubstr("slice may undo that in 28 of them"));
}

TEST_F(SparseInput, ALooserPatternAndShufflesAreNamed) {
  const auto warnings = [&](Arguments options) {
    options.emplace_back("--dry-run");
    const CommandResult result = pare(run("sparsify", sparse(), "out", options));
    EXPECT_EQ(result.status, 0) << result.err;
    return result.err;
  };
  EXPECT_THAT(warnings({"--targets", "o|down", "--shuffle", "both"}),
              testing::HasSubstr("sparsify may undo that in 20 of them: q, k, v, gate, up of 4 layers"));
  EXPECT_THAT(warnings({"--pattern", "3:4", "--method", "sparsegpt"}),
              testing::HasSubstr("sparsify may undo that in 28 of them"));
  for (const char* pattern : {"2:4", "1:4", "1:2"})
    EXPECT_EQ(warnings({"--pattern", pattern}).find("may undo"), std::string::npos) << pattern;
}

TEST_F(SparseInput, StorageThatTheOutputWillNotHaveIsNamed) {
  const fs::path packed = folder_ / "packed";
  const CommandResult made =
      pare({"convert", sparse().string(), "-o", packed.string(), "--to", "packed", "--dtype", "int8"});
  ASSERT_EQ(made.status, 0) << made.err;
  const Arguments hidden = {"--target-params", "0.9", "--streams", "hidden"};
  Arguments dense = hidden;
  dense.emplace_back("--dry-run");
  const CommandResult plain = pare(run("slice", packed, "plain", dense));
  EXPECT_THAT(plain.err, testing::HasSubstr("28 matrices are stored in 8 bits and will be written in 16"));
  EXPECT_THAT(plain.err, testing::HasSubstr("28 sparse matrices are stored without their zeros"));
  Arguments same = hidden;
  same.insert(same.end(), {"--format", "packed", "--dtype", "int8"});
  const CommandResult kept = pare(run("slice", packed, "kept", same));
  EXPECT_EQ(kept.status, 0) << kept.err;
  EXPECT_EQ(kept.err.find("matrices are stored"), std::string::npos) << kept.err;
}

// Magnitude reads no text, so a tokenizer that pare does not understand is only carried on.
TEST(SparsifyCommand, MagnitudeNeedsNoTokenizer) {
  const TinyModelCopy model;
  const std::string tokenizer = R"({"model": {"type": "Unigram", "vocab": []}})";
  model.write("tokenizer.json", tokenizer);
  const TempDir folder;
  const auto sparsify = [&](const std::string& path, const char* name) {
    return pare({"sparsify", path, "-o", (folder / name).string(), "--method", "magnitude", "--nsamples", "4",
                 "--seqlen", "32"});
  };
  const CommandResult result = sparsify(model.path(), "unread");
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, testing::HasSubstr("warning: " + model.path() + "/tokenizer.json: "));
  EXPECT_THAT(result.err, testing::HasSubstr("the tokenizer's files are carried on as they are"));
  EXPECT_EQ(file_contents(folder / "unread/tokenizer.json"), tokenizer);
  EXPECT_EQ(sparsify(kTinyModel, "read").status, 0);
  EXPECT_EQ(file_contents(folder / "unread/model.safetensors"),
            file_contents(folder / "read/model.safetensors"));
}

TEST(CompressCommand, RefusesAnOrderInWhichAPassUndoesAnother) {
  const TempDir folder;
  const auto compress = [&](const std::string& recipe) {
    return pare({"compress", kTinyModel, "-o", (folder / "out").string(), "--calib", kCalibration,
                 "--nsamples", "4", "--seqlen", "64", "--recipe", recipe});
  };
  const CommandResult sliced = compress("sparsify:2:4:method=wanda,slice:0.1:streams=hidden:streams=value");
  EXPECT_EQ(sliced.status, 2);
  EXPECT_THAT(sliced.err, testing::HasSubstr("pass 2 (slice) would undo what pass 1 (sparsify) makes: "
                                             "layers.0.v and others would no longer be 2:4; the other order "
                                             "keeps both"));
  EXPECT_FALSE(fs::exists(folder / "out"));
  const CommandResult hidden = compress("sparsify:2:4:method=wanda,slice:0.1:streams=hidden");
  EXPECT_EQ(hidden.status, 0) << hidden.err;
  EXPECT_THAT(hidden.out, testing::HasSubstr("28 of 28 linears are sparse in what was written"));
}

TEST(CompressCommand, RunsTheRecipeOfATextOrAFile) {
  const TempDir folder;
  const std::string file =
      folder
          .file("recipe", "# first narrower, then sparse\n\nslice:0.1\nsparsify:2:4:method=wanda:ignore=q\n")
          .string();
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
  expect("slice:0.1,,sparsify:2:4", "'slice:0.1,,sparsify:2:4': an empty item");
  expect("slice:0.1,", "an empty item");
  expect("slice:0.1:", "'slice:0.1:': there is nothing before or behind a colon");
  expect("slice:0.1:streams=hidden:streams=", "streams");
  expect("slice", "either --target-params or --sparsity");
  expect("slice:0.1:colour", "slice has no option 'colour'");
  expect("sparsify:best:swaps=1", "--best excludes --swaps");
  expect("slice:0.1:ridge=x", "--ridge = x is no number that this option takes");
  expect("slice:0.1:ridge=1:ridge=2", "--ridge is given twice");
  expect("slice:0.1:ridge", "--ridge needs a value");
  expect("slice:0.1:untie=yes", "--untie takes no value");
  expect("slice:0.1:uniform,sparsify:5:4", "pattern '5:4' is not N:M");  // so a flag may stand alone
}

// The method decides its update: the recipe says which it is, and another is refused.
TEST(SparsifyUpdate, IsThatOfTheMethod) {
  const TempDir folder;
  const Json report = pare_json(command_line(folder / "out", {"--method", "sparsegpt"}));
  EXPECT_EQ(report["recipe"]["options"]["update"], "obs");
  expect_failure(command_line(folder / "no", {"--method", "alps", "--update", "obs"}), 2,
                 "--method alps updates weights by itself (refit), and --update is obs");
  expect_failure(command_line(folder / "no", {"--method", "sparsegpt", "--update", "none"}), 2, "(obs)");
}

// A residual stream of several widths has no one order of channels: they stay where they are.
TEST(SparsifyResidual, KeepsItsOrderWhereWidthsDiffer) {
  const TempDir folder;
  const fs::path sliced = folder / "sliced";
  ASSERT_EQ(pare(pass_command("slice", sliced,
                              {"--rotation", "block", "--no-slice-head", "--sparsity", "0.25",
                               "--round-interval", "8"}))
                .status,
            0);
  const Json report = pare_json({"sparsify", sliced.string(), "-o", (folder / "sparse").string(), "--calib",
                                 kCalibration, "--nsamples", "4", "--seqlen", "32"});
  ASSERT_EQ(report["fallbacks"].size(), 1u);
  EXPECT_THAT(report["fallbacks"][0].get<std::string>(), testing::HasSubstr("several widths"));
}

}  // namespace
}  // namespace pare::test
