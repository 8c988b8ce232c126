// pare rotate: the same function in another basis, alone and before rounding.
#include "cli/pare_command.h"
#include "support/tiny_model.h"

namespace pare::test {
namespace {

using Arguments = std::vector<std::string>;
namespace fs = std::filesystem;

TEST(RotateCommand, WritesTheSameFunction) {
  const TempDir folder;
  for (const bool tied : {true, false}) {
    const fs::path out = folder / (tied ? "tied" : "untied");
    const Json report = pare_json(pass_command(
        "rotate", out, tied ? Arguments{"--dtype", "f32"} : Arguments{"--dtype", "f32", "--untie"}));
    EXPECT_EQ(report["recipe"]["method"], "rotate");
    for (const Json& check : report["exact_checks"])
      EXPECT_LE(check["relative_difference"].get<double>(), 2e-3) << check;
    EXPECT_NEAR(perplexity(out) / perplexity(kTinyModel), 1.0, 1e-3);
  }
}

TEST(RotateCommand, ComesBeforeRoundingInARecipe) {
  const TempDir folder;
  const fs::path out = folder / "out";
  const Json report = pare_json(pass_command("compress", out, {"--recipe", "rotate,quantize:q4n"}));
  EXPECT_EQ(report["recipe"]["passes"][0]["method"], "rotate");
  EXPECT_LT(perplexity(out) / perplexity(kTinyModel), 1.5);
}

TEST(RotateCommand, RefusesWhatItCannotDo) {
  const TempDir folder;
  expect_failure(pass_command("compress", folder / "out", {"--recipe", "rotate:0.1"}), 2,
                 "rotate takes no '0.1' behind its name");
  expect_failure(pass_command("rotate", folder / "out.gguf", {}), 2, "--untie gives");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace pare::test
