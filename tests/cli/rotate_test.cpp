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

// The result of a run tells what earlier ones did, in a folder and in a GGUF file.
TEST(RotateCommand, IsRememberedByTheRunsBehindIt) {
  const TempDir folder;
  const fs::path rotated = folder / "rotated";
  const fs::path rounded = folder / "rounded";
  const Json first = pare_json(pass_command("rotate", rotated, {"--untie"}));
  EXPECT_FALSE(first.contains("earlier"));
  const auto next = [](const char* command, const fs::path& from, const fs::path& to, const Arguments& more) {
    Arguments arguments = {command, from.string(), "-o", to.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return pare_json(arguments);
  };
  const Arguments calibration = {"--calib", kCalibration, "--nsamples", "2", "--seqlen", "32"};
  Arguments q8 = calibration;
  q8.insert(q8.end(), {"--format", "q8_0"});
  const Json second = next("quantize", rotated, rounded, q8);
  ASSERT_EQ(second["earlier"].size(), 1u);
  EXPECT_EQ(second["earlier"][0]["recipe"], first["recipe"]);
  EXPECT_EQ(second["earlier"][0]["after"], first["after"]);
  const std::string card = file_contents(rounded / "README.md");
  EXPECT_LT(card.find("1. rotate: "), card.find("1. quantize: "));
  Arguments q4 = calibration;
  q4.insert(q4.end(), {"--format", "q4_0"});
  const Json third = next("quantize", rounded, folder / "small.gguf", q4);
  ASSERT_EQ(third["earlier"].size(), 2u);
  EXPECT_EQ(third["earlier"][1]["recipe"], second["recipe"]);
}

TEST(RotateCommand, RefusesWhatItCannotDo) {
  const TempDir folder;
  expect_failure(pass_command("compress", folder / "out", {"--recipe", "rotate:0.1"}), 2,
                 "rotate takes no '0.1' behind its name");
  expect_failure(pass_command("rotate", folder / "out.gguf", {}), 2, "--untie gives");
  expect_failure(pass_command("compress", folder / "out", {"--recipe", "rotate,quantize:q4_k"}), 1,
                 "the 64 stored values of a row");
  expect_failure(pass_command("compress", folder / "out",
                              {"--recipe", "rotate,quantize:q4n:targets=dwon:keep_embedding"}),
                 1, "leave nothing to work on");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace pare::test
