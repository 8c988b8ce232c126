// The binary under test and the models it is given.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/json.h"
#include "support/command.h"
#include "support/temp_dir.h"

namespace pare::test {

inline const std::string kTinyModel = PARE_GOLDEN_DIR "/tiny-model";
inline const std::string kTestText = PARE_GOLDEN_DIR "/text/test.txt";

inline const std::string kCalibration = PARE_GOLDEN_DIR "/text/calibration.txt";

// The command line of a pass over the tiny model, calibrated on a little text; `options` come last.
inline std::vector<std::string> pass_command(const std::string& pass, const std::filesystem::path& out,
                                             const std::vector<std::string>& options) {
  std::vector<std::string> arguments = {pass,         kTinyModel,   "-o", out.string(), "--calib",
                                        kCalibration, "--nsamples", "8",  "--seqlen",   "64"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  return arguments;
}

inline CommandResult pare(std::vector<std::string> arguments, const std::string& input = "") {
  arguments.insert(arguments.begin(), PARE_BINARY);
  return run_command(arguments, input);
}

// Runs a command that must succeed, and parses what it prints.
inline Json pare_json(std::vector<std::string> arguments) {
  arguments.emplace_back("--json");
  const CommandResult result = pare(std::move(arguments));
  EXPECT_EQ(result.status, 0) << result.err;
  return parse_json(result.out, "output");
}

// The perplexity of a model on the first windows of 64 tokens of the test text.
inline double perplexity(const std::filesystem::path& model, int windows = 8) {
  const Json json = pare_json(
      {"eval", model.string(), "--ppl", kTestText, "--seqlen", "64", "--windows", std::to_string(windows)});
  return json["models"][0]["perplexity"].get<double>();
}

// A command that must fail with one line on the standard error and nothing on the output.
inline void expect_failure(const std::vector<std::string>& arguments, int status,
                           const std::string& message) {
  const CommandResult result = pare(arguments);
  EXPECT_EQ(result.status, status) << result.err;
  EXPECT_THAT(result.err, testing::StartsWith("pare: error: "));
  EXPECT_THAT(result.err, testing::HasSubstr(message));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_EQ(result.out, "");
}

inline std::string file_contents(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline Json golden_json(const std::string& path) {
  return parse_json(file_contents(PARE_GOLDEN_DIR "/" + path), path);
}

// A copy of the tiny model to damage.
class TinyModelCopy {
 public:
  TinyModelCopy() {
    std::filesystem::copy(kTinyModel, folder_.path(), std::filesystem::copy_options::recursive);
  }
  std::string path() const { return folder_.path().string(); }
  std::string read(const std::string& name) const { return file_contents(folder_ / name); }
  void write(const std::string& name, const std::string& content) const { folder_.file(name, content); }

 private:
  TempDir folder_;
};

}  // namespace pare::test
