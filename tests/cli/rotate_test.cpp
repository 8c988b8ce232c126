// pare rotate: the same function in another basis, alone and before rounding.
#include "cli/pare_command.h"
#include "support/tiny_model.h"

namespace pare::test {
namespace {

using Arguments = std::vector<std::string>;
namespace fs = std::filesystem;

Arguments command(const Arguments& first, const fs::path& out, const Arguments& options) {
  Arguments arguments = first;
  arguments.insert(arguments.end(), {"-o", out.string(), "--nsamples", "4", "--seqlen", "64"});
  arguments.insert(arguments.end(), options.begin(), options.end());
  return arguments;
}

double perplexity(const fs::path& model) {
  const Json eval =
      pare_json({"eval", model.string(), "--ppl", kTestText, "--seqlen", "64", "--windows", "8"});
  return eval["models"][0]["perplexity"].get<double>();
}

TEST(RotateCommand, WritesTheSameFunction) {
  const TempDir folder;
  for (const bool tied : {true, false}) {
    const fs::path out = folder / (tied ? "tied" : "untied");
    const Json report =
        pare_json(command({"rotate", kTinyModel}, out,
                          tied ? Arguments{"--dtype", "f32"} : Arguments{"--dtype", "f32", "--untie"}));
    EXPECT_EQ(report["recipe"]["method"], "rotate");
    for (const Json& check : report["exact_checks"])
      EXPECT_LE(check["relative_difference"].get<double>(), 2e-3) << check;
    EXPECT_NEAR(perplexity(out) / perplexity(kTinyModel), 1.0, 1e-3);
  }
}

TEST(RotateCommand, ComesBeforeRoundingInARecipe) {
  const TempDir folder;
  const fs::path out = folder / "out";
  const Json report = pare_json(command({"compress", kTinyModel}, out, {"--recipe", "rotate,quantize:q4n"}));
  EXPECT_EQ(report["recipe"]["passes"][0]["method"], "rotate");
  EXPECT_LT(perplexity(out) / perplexity(kTinyModel), 1.5);
}

TEST(RotateCommand, RefusesWhatItCannotDo) {
  const TempDir folder;
  expect_failure(command({"compress", kTinyModel}, folder / "out", {"--recipe", "rotate:0.1"}), 2,
                 "rotate takes no '0.1' behind its name");
  expect_failure(command({"rotate", kTinyModel}, folder / "out.gguf", {}), 2, "--untie gives");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace pare::test
