// pare slice: what it writes, and what it refuses.
#include <algorithm>
#include <cmath>

#include "checkpoint/save.h"
#include "cli/pare_command.h"
#include "support/tiny_model.h"

namespace pare::test {
namespace {

using Arguments = std::vector<std::string>;
namespace fs = std::filesystem;

Arguments slice_command(const std::string& model, const fs::path& out, const Arguments& options) {
  Arguments arguments = {"slice", model, "-o", out.string()};
  arguments.insert(arguments.end(), options.begin(), options.end());
  for (const auto& [name, value] : {std::pair{"--nsamples", "8"}, std::pair{"--seqlen", "64"}})
    if (std::find(options.begin(), options.end(), name) == options.end())
      arguments.insert(arguments.end(), {name, value});
  return arguments;
}

struct Way {
  Arguments options;
  double share;  // of the parameters that stays at most
};

void PrintTo(const Way& way, std::ostream* out) { *out << fmt::format("{}", fmt::join(way.options, " ")); }

class SliceCommand : public ::testing::TestWithParam<Way> {};

INSTANTIATE_TEST_SUITE_P(
    Ways, SliceCommand,
    ::testing::Values(Way{{"--target-params", "0.9"}, 0.9},
                      Way{{"--target-params", "0.9", "--calib", kCalibration}, 0.9},
                      Way{{"--target-params", "0.9", "--uniform"}, 0.9},
                      Way{{"--target-params", "0.8", "--streams", "hidden"}, 0.8},
                      Way{{"--target-params", "0.9", "--rotation", "block"}, 0.9},
                      Way{{"--target-params", "0.9", "--rotation", "global", "--covariance", "raw"}, 0.9},
                      Way{{"--target-params", "0.9", "--rotation", "global", "--untie"}, 0.9},
                      Way{{"--sparsity", "0.25", "--uniform", "--dtype", "f32"}, 0.9}));

TEST_P(SliceCommand, WritesAModelThatTheOthersOpen) {
  const TempDir folder;
  const fs::path out = folder / "out";
  const Json report = pare_json(slice_command(kTinyModel, out, GetParam().options));
  EXPECT_EQ(parse_json(file_contents(out / "pare.json"), "pare.json"), report);
  const Json dense = pare_json({"inspect", kTinyModel});
  const Json sliced = pare_json({"inspect", out.string()});
  EXPECT_EQ(report["before"]["parameters"], dense["parameters"]);
  EXPECT_EQ(report["after"]["parameters"], sliced["parameters"]);
  EXPECT_LE(sliced["parameters"].get<double>(), GetParam().share * dense["parameters"].get<double>());
  for (const Json& check : report["exact_checks"])
    EXPECT_LE(check["relative_difference"].get<double>(), 2e-3) << check;
  EXPECT_FALSE(fs::exists(folder / "out.partial"));

  const Json eval =
      pare_json({"eval", kTinyModel, out.string(), "--ppl", kTestText, "--seqlen", "64", "--windows", "8"});
  const double before = eval["models"][0]["perplexity"].get<double>();
  const double after = eval["models"][1]["perplexity"].get<double>();
  EXPECT_GT(after, before);
  EXPECT_LT(after, 384.0);  // better than a guess among the vocabulary
}

// llama.cpp's `deci` holds a hidden width for every layer; values become as wide as keys again.
TEST(SliceCommands, SlicesBecomeGgufFiles) {
  const TempDir folder;
  for (const char* streams : {"hidden", "hidden,value"}) {
    SCOPED_TRACE(streams);
    const std::string out = (folder / streams).string();
    pare_json(slice_command(kTinyModel, out, {"--target-params", "0.8", "--streams", streams}));
    const CommandResult converted = pare({"convert", out, "-o", out + ".gguf"});
    EXPECT_EQ(converted.status, 0) << converted.err;
    EXPECT_THAT(converted.out, testing::HasSubstr("read back: logits identical"));
    const Json slice = pare_json({"inspect", out});
    const Json file = pare_json({"inspect", out + ".gguf"});
    const bool narrow = slice["parameters"] != file["parameters"];
    EXPECT_EQ(converted.err.find("written with zeros") != std::string::npos, narrow) << converted.err;
    if (streams == std::string("hidden")) {
      EXPECT_FALSE(narrow);
    }
    const Json eval =
        pare_json({"eval", out, out + ".gguf", "--ppl", kTestText, "--seqlen", "64", "--windows", "8"});
    const double perplexity = eval["models"][0]["perplexity"].get<double>();
    EXPECT_NEAR(eval["models"][1]["perplexity"].get<double>(), perplexity, 1e-5 * perplexity);
  }
}

TEST(SliceCommands, PrintsWhatItDid) {
  const TempDir folder;
  const CommandResult result = pare(slice_command(kTinyModel, folder / "out", {"--target-params", "0.9"}));
  EXPECT_EQ(result.status, 0) << result.err;
  for (const char* part : {"parameters", "bytes", "exact steps checked", "pare eval"})
    EXPECT_THAT(result.out, testing::HasSubstr(part));
}

// A user's folders are not published with the model.
TEST(SliceCommands, WritesNoPaths) {
  const TempDir folder;
  const fs::path out = folder / "out";
  const fs::path calib = folder.file("book.txt", file_contents(kCalibration));
  pare_json(slice_command(kTinyModel, out, {"--target-params", "0.9", "--calib", calib.string()}));
  EXPECT_EQ(pare({"convert", out.string(), "-o", (folder / "out2").string()}).status, 0);
  for (const fs::path& written : {out, folder / "out2"})
    for (const auto& entry : fs::directory_iterator(written)) {
      const std::string text = file_contents(entry.path());
      for (const std::string& path : {folder.path().string(), std::string(PARE_GOLDEN_DIR)})
        EXPECT_EQ(text.find(path), std::string::npos) << entry.path() << " holds " << path;
    }
  EXPECT_EQ(parse_json(file_contents(out / "pare.json"), "")["recipe"]["calibration"]["source"], "book.txt");
  const std::string card = file_contents(out / "README.md");
  for (const char* part : {"base_model:\n- tiny-model\n", "1. slice: ", "`source` book.txt", "| parameters |",
                           "trust_remote_code=True"})
    EXPECT_THAT(card, testing::HasSubstr(part));
}

TEST(SliceCommands, SameSeedSameBytes) {
  const TempDir folder;
  const auto weights = [&](const char* name, const char* seed, const char* threads) {
    const CommandResult result = pare(slice_command(
        kTinyModel, folder / name, {"--target-params", "0.9", "--seed", seed, "--threads", threads}));
    EXPECT_EQ(result.status, 0) << result.err;
    return file_contents(folder / name / "model.safetensors");
  };
  const std::string first = weights("a", "0", "1");
  EXPECT_TRUE(first == weights("b", "0", "2"));
  EXPECT_FALSE(first == weights("c", "1", "2"));
}

// A slice that must fail and leave nothing under the name of its output.
void expect_refused(const std::string& model, const Arguments& options, int status,
                    const std::string& message) {
  SCOPED_TRACE(testing::PrintToString(options));
  const TempDir folder;
  Arguments arguments = slice_command(model, folder / "out", options);
  arguments.emplace_back("--quiet");
  expect_failure(arguments, status, message);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(SliceErrors, Usage) {
  expect_refused(kTinyModel, {}, 2, "either --target-params or --sparsity");
  expect_refused(kTinyModel, {"--target-params", "0.9", "--sparsity", "0.1"}, 2, "either --target-params");
  expect_refused(kTinyModel, {"--target-params", "1.5"}, 2, "--target-params is 1.5");
  expect_refused(kTinyModel, {"--target-params", "nan"}, 2, "--target-params is nan");
  expect_refused(kTinyModel, {"--sparsity", "-1", "--rotation", "block"}, 2, "--sparsity is -1");
  expect_refused(kTinyModel, {"--sparsity", "0.2"}, 2, "--sparsity needs");
  expect_refused(kTinyModel, {"--target-params", "0.9", "--rotation", "half"}, 2, "--rotation");
  expect_refused(kTinyModel, {"--target-params", "0.9", "--streams", "keys"}, 2, "--streams");
  expect_refused(kTinyModel, {"--target-params", "0.9", "--uniform", "--streams", "value"}, 2, "--uniform");
  expect_refused(kTinyModel, {"--target-params", "0.9", "--nsamples", "0"}, 2, "--nsamples: Value 0");
  expect_refused(kTinyModel, {"--target-params", "0.9", "--seqlen", "1"}, 2, "--seqlen: Value 1");
  expect_failure({"slice", kTinyModel, "--target-params", "0.9"}, 2, "--output");
}

TEST(SliceErrors, TargetsOutOfReach) {
  expect_refused(kTinyModel, {"--target-params", "0.01"}, 1, "parameters too many");
  expect_refused(kTinyModel, {"--target-params", "0.01", "--rotation", "block"}, 1, "no residual width");
  expect_refused(kTinyModel, {"--target-params", "0.01", "--uniform"}, 1, "hidden streams alone");
}

TEST(SliceErrors, Models) {
  expect_refused("/nonexistent/model", {"--target-params", "0.9"}, 1, "/nonexistent/model does not exist");
  const TinyModelCopy copy;
  Model model = make_tiny_model({.vocab = 384});
  model.config.eos = {2};  // of the files beside it
  auto& mlp = std::get<Mlp>(model.blocks[1].stages[1].branches[0]);
  Matrix<float> values = decode(mlp.up.weight);
  values(3, 5) = std::nanf("");
  mlp.up.weight = Weight::from_matrix(std::as_const(values).view());
  fs::remove(copy.path() + "/model.safetensors");
  save_hf(model, copy.path(), {.dtype = Encoding::kF32});
  expect_refused(copy.path(), {"--target-params", "0.9"}, 1,
                 "the weights of layer 1 up hold a NaN or an infinity");
}

TEST(SliceErrors, CalibrationTexts) {
  const TempDir texts;
  const std::string text = texts.file("short.txt", "Mira and the tide").string();
  expect_refused(kTinyModel, {"--target-params", "0.9", "--calib", text}, 1, "8 samples of 64 need 512");
  expect_refused(kTinyModel, {"--target-params", "0.9", "--calib", "/nonexistent/text"}, 1,
                 "/nonexistent/text");
}

TEST(SliceErrors, OutputsInTheWay) {
  const Arguments options = {"--target-params", "0.9"};
  const TinyModelCopy copy;
  const std::string weights = copy.read("model.safetensors");
  expect_failure(slice_command(copy.path(), copy.path(), options), 1, "is the input");
  EXPECT_TRUE(copy.read("model.safetensors") == weights);
  EXPECT_FALSE(fs::exists(copy.path() + ".partial"));
  const TempDir folder;
  fs::create_directory(folder / "out");
  folder.file("out/mine", "x");
  expect_failure(slice_command(kTinyModel, folder / "out", options), 1, "not empty");
  EXPECT_EQ(file_contents(folder / "out/mine"), "x");
  EXPECT_FALSE(fs::exists(folder / "out.partial"));
  expect_failure(slice_command(kTinyModel, "/proc/out", options), 1, "/proc/out");
  expect_failure(slice_command(kTinyModel, folder / "none/out", options), 1, "parent folder");
}

}  // namespace
}  // namespace pare::test
