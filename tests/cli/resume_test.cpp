// pare slice, sparsify, compress: interrupted at any moment, they go on and end with the same bytes.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <thread>

#include "base/rng.h"
#include "cli/processes.h"

namespace pare::test {
namespace {

using Arguments = std::vector<std::string>;
namespace fs = std::filesystem;

// `options` begins with the name of the command.
Arguments command_line(const fs::path& out, const Arguments& options) {
  const Arguments common = {kTinyModel, "-o", out.string(), "--nsamples", "16", "--seqlen", "128"};
  Arguments arguments = {PARE_BINARY};
  arguments.insert(arguments.end(), options.begin(), options.end());
  arguments.insert(arguments.end(), common.begin(), common.end());
  return arguments;
}

class Interrupted : public ::testing::TestWithParam<Arguments> {};

INSTANTIATE_TEST_SUITE_P(
    Ways, Interrupted,
    ::testing::Values(
        Arguments{"slice", "--target-params", "0.9"},
        Arguments{"slice", "--target-params", "0.9", "--calib", kCalibration},
        Arguments{"slice", "--target-params", "0.9", "--uniform", "--calib", kCalibration},
        Arguments{"slice", "--sparsity", "0.25", "--rotation", "block", "--calib", kCalibration},
        Arguments{"slice", "--sparsity", "0.25", "--rotation", "global", "--calib", kCalibration},
        Arguments{"sparsify", "--method", "sparsegpt", "--match", "model", "--shuffle", "both", "--calib",
                  kCalibration},
        Arguments{"sparsify", "--calib", kCalibration},
        Arguments{"compress", "--recipe", "slice:0.1,sparsify:2:4:method=wanda", "--calib", kCalibration},
        Arguments{"quantize", "--calib", kCalibration},
        Arguments{"quantize", "--weights", "loss", "--calib", kCalibration},
        Arguments{"compress", "--target-ratio", "0.3", "--calib", kCalibration},
        Arguments{"compress", "--recipe", "rotate,quantize:q3n:embedding=q4n", "--calib", kCalibration},
        Arguments{"compress", "--recipe", "slice:0.1:streams=hidden:round_interval=32,quantize:iq4_nl",
                  "--calib", kCalibration},
        Arguments{"compress", "--recipe",
                  "slice:0.2:streams=hidden:round_interval=32,quantize:q4_0,"
                  "recover:6:batch_tokens=512:held_back_tokens=256",
                  "--calib", kCalibration}));

// Kills the run at random moments, a little later every time so that the test ends, and continues it.
TEST_P(Interrupted, EndsWithTheSameBytes) {
  const TempDir folder;
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(run_command(command_line(folder / "whole", GetParam())).status, 0);
  const auto whole = std::chrono::steady_clock::now() - begin;
  Rng rng(7);
  int kills = 0;
  int status = -1;
  Arguments again = GetParam();
  again.insert(again.end(), {"--resume", "--threads", "1"});
  for (int attempt = 0; attempt < 200 && status != 0; ++attempt) {
    again.back() = attempt % 2 == 0 ? "1" : "2";
    const pid_t pid = start(command_line(folder / "broken", again));
    const double share = (0.02 + 0.01 * attempt) * 2.0 * rng.uniform();
    std::this_thread::sleep_for(std::chrono::duration<double>(share * std::chrono::duration<double>(whole)));
    if (attempt % 3 == 2) kill(pid, SIGINT);
    kill(pid, SIGKILL);
    status = wait_for(pid);
    // Killed after the folder got its name: nothing was left to do but to exit.
    if (fs::exists(folder / "broken/pare.json") && !fs::exists(folder / "broken/.pare-partial")) status = 0;
    ASSERT_TRUE(status == 0 || status == 128 + SIGKILL || status == 128 + SIGINT) << status;
    kills += status == 0 ? 0 : 1;
  }
  EXPECT_EQ(status, 0);
  EXPECT_GT(kills, 1);
  const auto expected = files_in(folder / "whole");
  const auto got = files_in(folder / "broken");
  EXPECT_TRUE(expected == got);
  EXPECT_TRUE(got.count("pare.json") == 1 && got.count(".pare-partial") == 0);
  EXPECT_FALSE(fs::exists(folder / "broken.partial"));
}

// A run that was killed after its first finished steps.
void leave_unfinished(const fs::path& out, const Arguments& options) {
  const fs::path journal = out.string() + ".partial/.work/journal.jsonl";
  for (int attempt = 0; attempt < 100; ++attempt) {
    fs::remove_all(out);
    const pid_t pid = start(command_line(out, options));
    const auto lines = [&] {
      const std::string text = file_contents(journal);
      return std::count(text.begin(), text.end(), '\n');
    };
    int status = 0;
    while (lines() < 4 && waitpid(pid, &status, WNOHANG) == 0)
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    if (fs::exists(journal)) return;
  }
  FAIL() << "the run was never caught in the middle";
}

class Unfinished : public ::testing::Test {
 protected:
  void SetUp() override { leave_unfinished(folder_ / "out", options_); }
  Arguments command(const Arguments& more) const {
    Arguments arguments = command_line(folder_ / "out", options_);
    arguments.insert(arguments.end(), more.begin(), more.end());
    arguments.erase(arguments.begin());
    return arguments;
  }
  const TempDir folder_;
  const Arguments options_ = {"slice", "--target-params", "0.9", "--calib", kCalibration};
};

TEST_F(Unfinished, IsNotReplacedUnasked) {
  expect_failure(command({}), 1, "--resume");
  EXPECT_TRUE(fs::exists(folder_ / "out.partial/.work/journal.jsonl"));
  EXPECT_EQ(pare(command({"--restart"})).status, 0);
  EXPECT_TRUE(fs::exists(folder_ / "out/pare.json"));
}

TEST_F(Unfinished, IsContinuedOnlyByTheSameRun) {
  Arguments other = command({"--resume"});
  *std::find(other.begin(), other.end(), "0.9") = "0.8";
  expect_failure(other, 1, "--target-params was 0.9, is 0.8");
  expect_failure(command({"--resume", "--seed", "1"}), 1, "--seed was 0, is 1");
  expect_failure(command({"--resume", "--dtype", "f32"}), 1, "--dtype was \"bf16\", is \"f32\"");
  Arguments another_text = command({"--resume"});
  *std::find(another_text.begin(), another_text.end(), kCalibration) = kTestText;
  expect_failure(another_text, 1, "calibration tokens was");
  const TinyModelCopy copy;
  std::string weights = copy.read("model.safetensors");
  weights[weights.size() - 2] = static_cast<char>(weights[weights.size() - 2] ^ 1);
  copy.write("model.safetensors", weights);
  Arguments another_model = command({"--resume"});
  *std::find(another_model.begin(), another_model.end(), kTinyModel) = copy.path();
  expect_failure(another_model, 1, "model was");
  expect_failure(command({"--resume", "--restart"}), 2, "--re");
  EXPECT_EQ(pare(command({"--resume"})).status, 0);
}

TEST_F(Unfinished, ARecordCutShortIsDropped) {
  const fs::path journal = folder_ / "out.partial/.work/journal.jsonl";
  std::ofstream(journal, std::ios::app) << "{\"step\":\"cut/7\",\"va";
  EXPECT_EQ(pare(command({"--resume"})).status, 0);
  const Arguments whole = command_line(folder_ / "whole", options_);
  ASSERT_EQ(run_command(whole).status, 0);
  EXPECT_TRUE(files_in(folder_ / "whole") == files_in(folder_ / "out"));
}

// Stops the process from writing larger files, as a full disk would, then lets it go on.
TEST(FullDisk, IsAnErrorFromWhichTheRunGoesOn) {
  const TempDir folder;
  const Arguments options = {"slice", "--sparsity", "0.25", "--rotation", "block", "--calib", kCalibration};
  rlimit old_limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  // Room for the activations (16 · 128 · 64 floats), not for the weights of the result.
  const rlimit small{550000, old_limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  Arguments limited = command_line(folder / "out", options);
  limited.insert(limited.end(), {"--dtype", "f32"});
  const CommandResult full = run_command(limited);
  setrlimit(RLIMIT_FSIZE, &old_limit);
  EXPECT_EQ(full.status, 1);
  EXPECT_THAT(full.err, testing::HasSubstr("File too large"));
  EXPECT_TRUE(fs::exists(folder / "out.partial/.work/journal.jsonl"));
  limited.emplace_back("--resume");
  EXPECT_EQ(run_command(limited).status, 0);
  limited.pop_back();
  *std::find(limited.begin(), limited.end(), (folder / "out").string()) = (folder / "whole").string();
  ASSERT_EQ(run_command(limited).status, 0);
  EXPECT_TRUE(files_in(folder / "whole") == files_in(folder / "out"));
}

TEST(DryRun, SaysWhatARunWouldTakeAndWritesNothing) {
  const TempDir folder;
  for (const Arguments& options :
       {Arguments{"slice", "--target-params", "0.9"},
        Arguments{"slice", "--sparsity", "0.25", "--rotation", "block", "--calib", kCalibration},
        Arguments{"sparsify", "--calib", kCalibration, "--ignore", "layers\\.0\\..*"},
        Arguments{"compress", "--recipe", "slice:0.1, sparsify:2:4"}}) {
    Arguments arguments = command_line(folder / "out", options);
    arguments.erase(arguments.begin());
    arguments.emplace_back("--dry-run");
    const Json needs = pare_json(arguments);
    EXPECT_GT(needs["memory"].get<int64_t>(), 0);
    EXPECT_GT(needs["disk"].get<int64_t>(), 345000);  // the output at least
    EXPECT_GT(needs["seconds"].get<double>(), 0.0);
    EXPECT_THAT(pare(arguments).out, testing::HasSubstr("memory"));
    arguments.insert(arguments.end(), {"--memory", "1MB"});
    expect_failure(arguments, 1, "of memory");
    arguments.erase(std::find(arguments.begin(), arguments.end(), "--dry-run"));
    expect_failure(arguments, 1, "of memory");
    EXPECT_TRUE(fs::is_empty(folder.path()));
  }
}

TEST(Memory, ALittleIsEnoughAndChangesNothing) {
  const TempDir folder;
  const Arguments options = {"slice", "--target-params", "0.9", "--calib", kCalibration};
  Arguments little = options;
  little.insert(little.end(), {"--memory", "80MB"});
  ASSERT_EQ(run_command(command_line(folder / "a", options)).status, 0);
  ASSERT_EQ(run_command(command_line(folder / "b", little)).status, 0);
  EXPECT_TRUE(files_in(folder / "a") == files_in(folder / "b"));
}

}  // namespace
}  // namespace pare::test
