// pare under mpirun: the same bytes on any number of ranks, and an end that a person understands.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <optional>
#include <thread>

#include "cli/processes.h"

namespace pare::test {
namespace {

using Arguments = std::vector<std::string>;
namespace fs = std::filesystem;

// Ranks on this machine, though it may have fewer cores, and the tests may be run as root.
Arguments on_ranks(int count, const Arguments& arguments) {
  Arguments all = {PARE_MPIEXEC, "--allow-run-as-root", "--oversubscribe", "--bind-to", "none",
                   "-n",         std::to_string(count), PARE_BINARY};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return all;
}

class Mpi : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::string(PARE_MPIEXEC).empty()) GTEST_SKIP() << "pare was built without MPI";
    setenv("LSAN_OPTIONS", "detect_leaks=0", 1);  // what the MPI library never frees
  }
  const TempDir folder_;
};

Arguments with_output(Arguments arguments, const fs::path& out) {
  arguments.insert(arguments.end(), {kTinyModel, "-o", out.string(), "--seqlen", "64"});
  return arguments;
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

class MpiWays : public Mpi, public ::testing::WithParamInterface<Arguments> {};

INSTANTIATE_TEST_SUITE_P(
    Ways, MpiWays,
    ::testing::Values(
        Arguments{"slice", "--target-params", "0.9", "--nsamples", "40"},
        Arguments{"slice", "--sparsity", "0.25", "--rotation", "block", "--nsamples", "9", "--calib",
                  kCalibration},
        Arguments{"sparsify", "--nsamples", "8", "--shuffle", "both", "--calib", kCalibration},
        Arguments{"sparsify", "--best", "--nsamples", "6", "--calib", kCalibration},
        Arguments{"compress", "--recipe", "slice:0.1,sparsify:2:4:method=wanda", "--nsamples", "8", "--calib",
                  kCalibration},
        Arguments{"quantize", "--nsamples", "8", "--calib", kCalibration},
        Arguments{"compress", "--target-ratio", "0.3", "--nsamples", "8", "--calib", kCalibration},
        Arguments{"compress", "--recipe", "rotate,quantize:q4n", "--nsamples", "8", "--calib", kCalibration},
        Arguments{"quantize", "--weights", "loss", "--nsamples", "8", "--calib", kCalibration}));

TEST_P(MpiWays, AnyNumberOfRanksWritesTheSameBytes) {
  const CommandResult alone = pare(with_output(GetParam(), folder_ / "1"));
  ASSERT_EQ(alone.status, 0) << alone.err;
  for (const int count : {2, 4}) {
    const fs::path out = folder_ / std::to_string(count);
    const CommandResult result = run_command(on_ranks(count, with_output(GetParam(), out)));
    ASSERT_EQ(result.status, 0) << result.err;
    EXPECT_EQ(count_of(result.out, "written to"), 1u);  // the first rank alone speaks
    EXPECT_TRUE(files_in(folder_ / "1") == files_in(out)) << count;
  }
  // Nothing else is left.
  for (const auto& entry : fs::directory_iterator(folder_.path()))
    EXPECT_THAT(entry.path().filename().string(), testing::AnyOf("1", "2", "4"));
}

// The process of a rank of this job.
std::optional<pid_t> process_of_rank(pid_t launcher, int rank) {
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string status = file_contents(entry.path() / "status");
    if (status.find(fmt::format("\nPPid:\t{}\n", launcher)) == std::string::npos) continue;
    const std::string own = file_contents(entry.path() / "environ");
    if (own.find(fmt::format("OMPI_COMM_WORLD_RANK={}", rank)) != std::string::npos) return std::stoi(name);
  }
  return std::nullopt;
}

TEST_F(Mpi, ADeadRankEndsTheJobWhichGoesOnFromThere) {
  const Arguments options = {"sparsify", "--best", "--calib", kCalibration, "--nsamples", "16"};
  ASSERT_EQ(pare(with_output(options, folder_ / "whole")).status, 0);
  const fs::path out = folder_ / "out";
  const fs::path journal = folder_ / "out.partial/.work/journal.jsonl";
  const std::string messages = (folder_ / "messages").string();
  bool killed = false;
  for (int attempt = 0; attempt < 20 && !killed; ++attempt) {
    fs::remove_all(out);
    fs::remove(messages);
    const pid_t job = start(on_ranks(2, with_output(options, out)), messages);
    std::string text;
    int status = 0;
    while (std::count(text.begin(), text.end(), '\n') < 4 && waitpid(job, &status, WNOHANG) == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      text = file_contents(journal);
    }
    const std::optional<pid_t> victim = process_of_rank(job, 1);
    if (victim) kill(*victim, SIGKILL);
    const int end = victim ? wait_for(job) : 0;
    killed = victim && !fs::exists(out);
    EXPECT_TRUE(!killed || end != 0);
  }
  ASSERT_TRUE(killed) << "the run was never caught in the middle";
  EXPECT_THAT(file_contents(messages), testing::HasSubstr("rank 1"));
  EXPECT_THAT(file_contents(messages), testing::HasSubstr("--resume goes on"));
  EXPECT_TRUE(fs::exists(journal));
  Arguments again = with_output(options, out);
  again.emplace_back("--resume");
  const CommandResult result = run_command(on_ranks(2, again));
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(files_in(folder_ / "whole") == files_in(out));
  EXPECT_FALSE(fs::exists(folder_ / "out.rank-1.partial"));
}

TEST_F(Mpi, ErrorsAreSaidOnce) {
  const auto expect_error = [&](int ranks, Arguments arguments, int status, const std::string& message) {
    const CommandResult result = run_command(on_ranks(ranks, arguments));
    EXPECT_EQ(result.status, status) << result.err;
    EXPECT_EQ(count_of(result.err, "pare: error:"), 1u) << result.err;
    EXPECT_THAT(result.err, testing::HasSubstr(message));
  };
  const fs::path out = folder_ / "out";
  expect_error(2, with_output({"slice", "--target-params", "1.5"}, out), 2, "--target-params is 1.5");
  expect_error(2, with_output({"slice", "--no-such-option"}, out), 2, "no-such-option");
  expect_error(3, with_output({"slice", "--target-params", "0.9"}, out), 2, "1, 2 or 4 ranks, not 3");
  expect_error(2, with_output({"sparsify", "--calib", "/nonexistent"}, out), 1, "/nonexistent");
  expect_error(2, with_output({"compress", "--target-decode", "60"}, out), 2,
               "--target-decode runs in one process, and there are 2 ranks");
  expect_error(2, {"inspect", kTinyModel}, 2, "pare inspect does not split its work");
  expect_error(2, {"recover", kTinyModel, "-o", "out", "--teacher", kTinyModel}, 2,
               "pare recover does not split its work");
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

// The second rank alone fails: what stands in the way of its work is a file.
TEST_F(Mpi, TheErrorOfAnotherRankIsNamed) {
  folder_.file("out.rank-1.partial", "in the way");
  const CommandResult result =
      run_command(on_ranks(2, with_output({"sparsify", "--calib", kCalibration}, folder_ / "out")));
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(count_of(result.err, "pare: error: rank 1: "), 1u) << result.err;
  EXPECT_THAT(result.err, testing::HasSubstr("out.rank-1.partial is in the way"));
}

TEST_F(Mpi, DryRunSaysWhatARankTakes) {
  Arguments arguments = with_output({"slice", "--target-params", "0.9"}, folder_ / "out");
  arguments.insert(arguments.end(), {"--dry-run", "--json"});
  const Json alone = parse_json(pare(arguments).out, "output");
  const CommandResult result = run_command(on_ranks(4, arguments));
  ASSERT_EQ(result.status, 0) << result.err;
  const Json shared = parse_json(result.out, "output");
  EXPECT_EQ(alone["ranks"], 1);
  EXPECT_EQ(shared["ranks"], 4);
  EXPECT_LT(shared["activations"].get<int64_t>(), alone["activations"].get<int64_t>());
}

Json json_on(int ranks, Arguments arguments) {
  arguments.emplace_back("--json");
  const CommandResult result = ranks == 1 ? pare(arguments) : run_command(on_ranks(ranks, arguments));
  EXPECT_EQ(result.status, 0) << result.err;
  return parse_json(result.out, "output");
}

TEST_F(Mpi, LayersOnAnyNumberOfRanksComputeTheSame) {
  const Arguments logits = {"logits", kTinyModel, "--tokens", "1,17,99,300,4", "--dtype", "bf16"};
  const Arguments generate = {"generate", kTinyModel, "-p", "Mira and the", "--max-tokens", "24"};
  const Arguments eval = {"eval",     kTinyModel, kTinyModel,  "--ppl", kTestText,
                          "--seqlen", "64",       "--windows", "3"};
  const Json expected_logits = json_on(1, logits);
  const Json expected_text = json_on(1, generate)["tokens"];
  const Json expected_eval = json_on(1, eval);
  for (const int count : {2, 3, 4}) {
    EXPECT_EQ(json_on(count, logits), expected_logits) << count;
    EXPECT_EQ(json_on(count, generate)["tokens"], expected_text) << count;
    const Json got = json_on(count, eval);
    for (const char* what : {"perplexity", "kl", "kl_99", "top1"})
      EXPECT_EQ(got["models"][1].value(what, Json()), expected_eval["models"][1].value(what, Json())) << what;
  }
  EXPECT_EQ(run_command(on_ranks(5, logits)).status, 2);  // more ranks than layers
}

TEST_F(Mpi, EveryRankHoldsItsShareOfTheModel) {
  const Arguments bench = {"bench", kTinyModel, "--prefill", "16", "--decode", "4", "--repeats", "1"};
  const Json whole = json_on(1, bench)["models"][0];
  const Json shared = json_on(2, bench)["models"][0];
  EXPECT_EQ(shared["weight_bytes_per_token"], whole["weight_bytes_per_token"]);
  EXPECT_EQ(shared["kv_bytes_per_token"], whole["kv_bytes_per_token"]);
  EXPECT_EQ(shared["resident_bytes"], whole["resident_bytes"]);
  ASSERT_EQ(shared["ranks"].size(), 2u);
  int64_t sum = 0;
  for (const Json& rank : shared["ranks"]) {
    EXPECT_LT(rank["weight_bytes_per_token"].get<double>(),
              0.7 * whole["weight_bytes_per_token"].get<double>());
    EXPECT_GT(rank["peak_rss"].get<int64_t>(), 0);
    sum += rank["weight_bytes_per_token"].get<int64_t>();
  }
  EXPECT_EQ(sum, whole["weight_bytes_per_token"].get<int64_t>());
}

// Whether this process may make network namespaces.
bool may_make_namespaces() {
  const char* ip = "/usr/sbin/ip";
  const std::string name = fmt::format("pare-test-{}", getpid());
  if (geteuid() != 0 || !fs::exists(ip) || run_command({ip, "netns", "add", name}).status != 0) return false;
  return run_command({ip, "netns", "del", name}).status == 0;
}

TEST_F(Mpi, RanksOnTwoMachinesWriteTheSameBytes) {
  if (!may_make_namespaces()) GTEST_SKIP() << "network namespaces need root and iproute2";
  const Arguments options = {"slice", "--target-params", "0.9", "--nsamples", "8", "--calib", kCalibration};
  ASSERT_EQ(pare(with_output(options, folder_ / "one")).status, 0);
  Arguments arguments = {PARE_SOURCE_DIR "/tools/compare/two_namespaces.sh", PARE_BINARY};
  const Arguments command = with_output(options, folder_ / "two");
  arguments.insert(arguments.end(), command.begin(), command.end());
  const CommandResult result = run_command(arguments);
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(files_in(folder_ / "one") == files_in(folder_ / "two"));
}

}  // namespace
}  // namespace pare::test
