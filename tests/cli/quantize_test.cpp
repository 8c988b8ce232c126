// pare quantize: what it writes, and what reads it.
#include "checkpoint/load.h"
#include "cli/pare_command.h"
#include "model/visit.h"

namespace pare::test {
namespace {

using Arguments = std::vector<std::string>;
namespace fs = std::filesystem;

Arguments command_line(const fs::path& out, const Arguments& options) {
  return pass_command("quantize", out, options);
}

TEST(QuantizeCommand, WritesCodesThatEveryCommandReads) {
  const TempDir folder;
  for (const char* format : {"q4n", "q3n", "iq4_nl", "q5_1", "q4_k_m"}) {
    SCOPED_TRACE(format);
    const fs::path out = folder / format;
    const Json report = pare_json(command_line(out, {"--format", format}));
    EXPECT_EQ(report["quantization"].size(), 29u);
    EXPECT_LT(report["after"]["bytes"], report["before"]["bytes"]);
    const double dense = perplexity(kTinyModel);
    EXPECT_LT(perplexity(out), 1.3 * dense);
    EXPECT_EQ(pare({"generate", out.string(), "-p", "a", "-n", "3"}).status, 0);
    EXPECT_EQ(pare({"inspect", out.string()}).status, 0);
  }
}

TEST(QuantizeCommand, CodesGoIntoGgufAsTheyAre) {
  const TempDir folder;
  pare_json(command_line(folder / "out", {"--format", "iq4_nl"}));
  const std::string gguf = (folder / "out.gguf").string();
  const CommandResult result = pare({"convert", (folder / "out").string(), "-o", gguf});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, testing::HasSubstr("logits identical"));
  int64_t blocks = 0;
  const Model model = load_model(gguf);
  for_each_tensor(
      model, [&](const TensorPlace&, const Weight& w) { blocks += w.format == Encoding::kIQ4_NL ? 1 : 0; },
      [](const TensorPlace&, const std::vector<float>&) {});
  EXPECT_EQ(blocks, 29);
}

TEST(QuantizeCommand, WritesGgufAtOnce) {
  const TempDir folder;
  const std::string gguf = (folder / "out.gguf").string();
  const Json report = pare_json(command_line(gguf, {"--format", "q4_1", "--embedding", "q8_0"}));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
  const Model model = load_model(gguf);
  EXPECT_EQ(model.embedding.format, Encoding::kQ8_0);
  EXPECT_EQ(report["after"]["bytes"], model_size(model).bytes);
  pare_json(command_line(folder / "out", {"--format", "q4_1", "--embedding", "q8_0"}));
  EXPECT_EQ(perplexity(folder / "out"), perplexity(gguf));
  expect_failure(command_line(gguf, {}), 2, "GGUF has no type q4n");
  expect_failure(command_line(gguf, {"--format", "q4_1"}), 1, "out.gguf exists");
  EXPECT_EQ(pare({"slice", kTinyModel, "-o", (folder / "s.gguf").string(), "--target-params", "0.9",
                  "--calib", kCalibration, "--nsamples", "8", "--seqlen", "64"})
                .status,
            0);
  EXPECT_LT(perplexity(folder / "s.gguf"), 384.0);
}

TEST(QuantizeCommand, TheSeedDecidesWhatTheLossIsOf) {
  const TempDir folder;
  const auto weights = [&](const char* name, const char* seed) {
    pare_json(command_line(folder / name, {"--weights", "loss", "--seed", seed}));
    return file_contents(folder / name / "model.safetensors");
  };
  const std::string first = weights("a", "1");
  EXPECT_TRUE(weights("b", "1") == first);
  EXPECT_FALSE(weights("c", "2") == first);
}

TEST(QuantizeCommand, ComesBehindSlicingInARecipe) {
  const TempDir folder;
  const Json report = pare_json({"compress", kTinyModel, "-o", (folder / "out").string(), "--calib",
                                 kCalibration, "--nsamples", "8", "--seqlen", "64", "--recipe",
                                 "slice:0.2:streams=hidden:round_interval=32,quantize:q4n"});
  EXPECT_EQ(report["quantization"].size(), 29u);
  for (const char* slice : {"slice:0.2:streams=hidden", "slice:0.2:round_interval=32"})
    expect_failure({"compress", kTinyModel, "-o", (folder / "x").string(), "--recipe",
                    fmt::format("{},quantize:q4n", slice)},
                   2, "--streams hidden --round-interval 32");
  expect_failure(
      {"compress", kTinyModel, "-o", (folder / "x").string(), "--recipe", "quantize:q4n,sparsify:2:4"}, 2,
      "has to be the last");
  expect_failure({"compress", kTinyModel, "-o", (folder / "x").string(), "--recipe", "quantize:q4n",
                  "--dtype", "int8", "--format", "packed"},
                 2, "makes codes");
}

TEST(QuantizeCommand, RefusesWithoutATrace) {
  const TempDir folder;
  expect_failure(command_line(folder / "out", {"--format", "q9"}), 2, "--format");
  expect_failure(command_line(folder / "out", {"--format", "q4_k"}), 1, "cannot be q4_k");
  expect_failure(command_line(folder / "out", {"--sweeps", "-1"}), 2, "--sweeps");
  expect_failure(command_line(folder / "out", {"--sequential", "no", "--match", "model"}), 2, "--sequential");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace pare::test
