// pare recover: what it takes, what it writes, and what it refuses.
#include "checkpoint/load.h"
#include "cli/pare_command.h"
#include "model/visit.h"

namespace pare::test {
namespace {

using Arguments = std::vector<std::string>;
namespace fs = std::filesystem;

Arguments recover(const fs::path& model, const fs::path& out, const Arguments& options) {
  Arguments arguments = {"recover",
                         model.string(),
                         "-o",
                         out.string(),
                         "--calib",
                         kCalibration,
                         "--nsamples",
                         "8",
                         "--seqlen",
                         "64",
                         "--steps",
                         "12",
                         "--checks",
                         "3",
                         "--batch-tokens",
                         "512",
                         "--held-back-tokens",
                         "512",
                         "--average",
                         "0.5"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  return arguments;
}

double first_kl(const Json& report) { return report["recovery"].front()["kl"].get<double>(); }
double least_kl(const Json& report) {
  double least = first_kl(report);
  for (const Json& check : report["recovery"]) least = std::min(least, check["kl"].get<double>());
  return least;
}

TEST(RecoverCommand, LearnsFromTheModelBeforeCompression) {
  const TempDir folder;
  pare_json(pass_command("sparsify", folder / "sparse", {"--method", "wanda", "--format", "packed"}));
  const Json report = pare_json(recover(folder / "sparse", folder / "out",
                                        {"--teacher", kTinyModel, "--rate", "1e-3", "--format", "packed"}));
  EXPECT_EQ(report["recovery"].size(), 4u);
  EXPECT_LT(least_kl(report), 0.95 * first_kl(report));
  EXPECT_EQ(report["after"]["bytes"], report["before"]["bytes"]);
  EXPECT_EQ(report["linears"]["2:4"], 28);
  const Json eval = pare_json({"eval", kTinyModel, (folder / "sparse").string(), (folder / "out").string(),
                               "--ppl", kTestText, "--seqlen", "64", "--windows", "8"});
  EXPECT_LT(eval["models"][2]["kl"], eval["models"][1]["kl"]);
}

TEST(RecoverCommand, KeepsCodesAsCodes) {
  const TempDir folder;
  pare_json(pass_command("quantize", folder / "coded", {"--format", "iq4_nl", "--method", "nearest"}));
  const std::string gguf = (folder / "out.gguf").string();
  const Json report = pare_json(recover(folder / "coded", gguf, {"--teacher", kTinyModel}));
  EXPECT_LT(least_kl(report), first_kl(report));
  EXPECT_EQ(report["after"]["bytes"], report["before"]["bytes"]);
  int64_t blocks = 0;
  const Model model = load_model(gguf);
  for_each_tensor(
      model, [&](const TensorPlace&, const Weight& w) { blocks += w.format == Encoding::kIQ4_NL ? 1 : 0; },
      [](const TensorPlace&, const std::vector<float>&) {});
  EXPECT_EQ(blocks, 29);
}

TEST(RecoverCommand, IsAPassOfRecipes) {
  const TempDir folder;
  const Json report = pare_json({"compress", kTinyModel, "-o", (folder / "out").string(), "--calib",
                                 kCalibration, "--nsamples", "8", "--seqlen", "64", "--recipe",
                                 "slice:0.2:streams=hidden:round_interval=32,quantize:q4n,recover:4:batch_"
                                 "tokens=256:held_back_tokens=256"});
  EXPECT_FALSE(report["recovery"].empty());
  EXPECT_EQ(report["quantization"].size(), 29u);
  EXPECT_EQ(load_model(folder / "out").embedding.format, Encoding::kQ4N);
}

TEST(RecoverCommand, SumsUpEveryRecoveryOfARecipe) {
  const TempDir folder;
  const CommandResult result =
      pare({"compress", kTinyModel, "-o", (folder / "out").string(), "--calib", kCalibration, "--nsamples",
            "8", "--seqlen", "64", "--recipe",
            "slice:0.2,recover:2:batch_tokens=128:scope=stages,recover:2:batch_tokens=128,recover:1:batch_"
            "tokens=128"});
  EXPECT_EQ(result.status, 0) << result.err;
  const size_t stages = result.out.find("8 stages trained");
  const size_t model = result.out.find("KL on held-back text", stages);
  EXPECT_NE(stages, std::string::npos) << result.out;
  EXPECT_NE(model, std::string::npos) << result.out;
  EXPECT_NE(result.out.find("KL on held-back text", model + 1), std::string::npos) << result.out;
}

// Text that the run's model writes is the teacher's.
TEST(RecoverCommand, TrainsOnTextThatTheTeacherWrites) {
  const TempDir folder;
  pare_json(pass_command("slice", folder / "sliced", {"--target-params", "0.8"}));
  const Json report = pare_json({"recover", (folder / "sliced").string(), "-o", (folder / "out").string(),
                                 "--teacher", kTinyModel, "--seqlen", "64", "--nsamples", "4", "--steps", "2",
                                 "--batch-tokens", "128", "--held-back-tokens", "64"});
  EXPECT_EQ(report["recipe"]["calibration"]["source"], "self");
}

TEST(RecoverCommand, SaysWhatItWillTake) {
  const TempDir folder;
  const Json cost = pare_json(recover(kTinyModel, folder / "out", {"--teacher", kTinyModel, "--dry-run"}));
  EXPECT_GT(cost["memory"], 0);
  EXPECT_GT(cost["seconds"], 0.0);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(RecoverCommand, RefusesWithoutATrace) {
  const TempDir folder;
  const fs::path out = folder / "out";
  expect_failure(recover(kTinyModel, out, {}), 2, "--teacher");
  expect_failure(recover(kTinyModel, out, {"--teacher", (folder / "none").string()}), 1, "none");
  expect_failure(recover(kTinyModel, out, {"--teacher", PARE_GOLDEN_DIR "/llama/gqa-tied"}), 1, "vocab");
  expect_failure(recover(kTinyModel, out, {"--teacher", kTinyModel, "--rate", "2"}), 2, "--rate");
  expect_failure({"compress", kTinyModel, "-o", out.string(), "--recipe", "recover,quantize:q4n"}, 2,
                 "teacher");
  expect_failure({"compress", kTinyModel, "-o", out.string(), "--recipe", "quantize:q4n,recover:steps=0"}, 2,
                 "steps");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(RecoverCommand, RefusesATeacherBeforeOtherPassesRun) {
  const TempDir folder;
  const std::string out = (folder / "out").string();
  const auto refused = [&](const std::string& teacher, const std::string& message) {
    expect_failure({"compress", kTinyModel, "-o", out, "--calib", kCalibration, "--seqlen", "64", "--recipe",
                    "slice:0.2,recover:teacher=" + teacher},
                   1, message);
  };
  refused(PARE_GOLDEN_DIR "/llama/gqa-tied", "the teacher has a vocabulary of 97 tokens");
  const TinyModelCopy shorter;
  std::string config = shorter.read("config.json");
  const std::string positions = "\"max_position_embeddings\": 256";
  config.replace(config.find(positions), positions.size(), "\"max_position_embeddings\": 32");
  shorter.write("config.json", config);
  refused(shorter.path(), "the teacher was made for at most 32 positions");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(RecoverCommand, RefusesATeacherWithANaN) {
  const TempDir folder;
  const TinyModelCopy damaged;
  std::string weights = damaged.read("model.safetensors");
  weights.replace(weights.size() - 2, 2, "\xff\x7f");
  damaged.write("model.safetensors", weights);
  expect_failure(recover(kTinyModel, folder / "out", {"--teacher", damaged.path()}), 1, "the teacher (");
}

TEST(RecoverCommand, RefusesTextOfOneSequence) {
  const TempDir folder;
  folder.file("one.txt", "A short text, which has a token or so for each of its letters, or two.");
  expect_failure({"recover", kTinyModel, "-o", (folder / "out").string(), "--teacher", kTinyModel, "--calib",
                  (folder / "one.txt").string(), "--nsamples", "1", "--seqlen", "24"},
                 1, "training needs two");
  EXPECT_FALSE(fs::exists(folder / "out.partial"));
}

// A teacher whose tokens are others: two of them have changed places.
TEST(RecoverCommand, RefusesATeacherWithOtherTokens) {
  const TempDir folder;
  const TinyModelCopy copy;
  Json tokenizer = parse_json(copy.read("tokenizer.json"), "tokenizer.json");
  Json& vocab = tokenizer["model"]["vocab"];
  std::swap(vocab["a"], vocab["b"]);
  copy.write("tokenizer.json", tokenizer.dump());
  expect_failure(recover(kTinyModel, folder / "out", {"--teacher", copy.path()}), 1, "tokenizers");
  EXPECT_FALSE(fs::exists(folder / "out"));
}

}  // namespace
}  // namespace pare::test
