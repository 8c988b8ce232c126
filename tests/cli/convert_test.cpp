// pare convert: folders and GGUF files in every type, and what must not happen.
#include "cli/pare_command.h"

namespace pare::test {
namespace {

namespace fs = std::filesystem;

std::string converted(const TempDir& folder, const std::string& model, const std::string& name,
                      const std::vector<std::string>& options = {}) {
  const std::string out = (folder / name).string();
  std::vector<std::string> arguments = {"convert", model, "-o", out};
  arguments.insert(arguments.end(), options.begin(), options.end());
  const CommandResult result = pare(arguments);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, testing::HasSubstr("read back: logits"));
  return out;
}

double perplexity(const std::string& model) {
  const Json json = pare_json({"eval", model, "--ppl", kTestText, "--seqlen", "64", "--windows", "8"});
  return json["models"][0]["perplexity"].get<double>();
}

size_t files_in(const TempDir& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()));
}

TEST(Convert, TypesCostWhatTheirBitsSay) {
  const TempDir folder;
  const double original = perplexity(kTinyModel);
  // How far the perplexity may move: rounding is unbiased, so its effect is of second order.
  const std::pair<const char*, double> types[] = {
      {"f32", 0.0}, {"bf16", 0.0}, {"f16", 1e-3}, {"q8_0", 5e-3}, {"q4_0", 0.2}};
  for (const auto& [type, allowed] : types) {
    const std::string gguf = converted(folder, kTinyModel, std::string(type) + ".gguf", {"--dtype", type});
    EXPECT_NEAR(perplexity(gguf), original, allowed * original) << type;
    const Json facts = pare_json({"inspect", gguf});
    EXPECT_GT(facts["encodings"][type]["matrices"].get<int64_t>(), 28) << type;
  }
  EXPECT_EQ(pare_json({"inspect", (folder / "q8_0.gguf").string()})["encodings"]["q8_0"]["bits_per_value"],
            8.5);
  EXPECT_EQ(pare_json({"inspect", (folder / "q4_0.gguf").string()})["encodings"]["q4_0"]["bits_per_value"],
            4.5);
}

TEST(Convert, ThereAndBackIsTheSame) {
  const TempDir folder;
  const std::string gguf = converted(folder, kTinyModel, "model.gguf");
  const std::string back = converted(folder, gguf, "back");
  EXPECT_TRUE(file_contents(back + "/model.safetensors") == file_contents(kTinyModel + "/model.safetensors"));
  const std::string again = converted(folder, back, "again.gguf");
  EXPECT_TRUE(file_contents(gguf) == file_contents(again));
  // Blocks are copied as they are.
  const std::string blocks = converted(folder, kTinyModel, "q4.gguf", {"--dtype", "q4_0"});
  EXPECT_TRUE(file_contents(blocks) == file_contents(converted(folder, blocks, "copy.gguf")));
}

TEST(Convert, Shards) {
  const TempDir folder;
  const std::string out = converted(folder, kTinyModel, "out", {"--shard-size", "100KB"});
  EXPECT_FALSE(fs::exists(out + "/model.safetensors"));
  const Json index = parse_json(file_contents(out + "/model.safetensors.index.json"), "index");
  for (const auto& [tensor, shard] : index["weight_map"].items())
    EXPECT_LT(fs::file_size(out + "/" + shard.get<std::string>()), 110'000u) << tensor;
}

TEST(Convert, TheManifestGoesAlong) {
  const TinyModelCopy model;
  model.write("pare.json", "{\"recipe\": {\"seed\": 1}}\n");
  const TempDir folder;
  const std::string gguf = converted(folder, model.path(), "model.gguf");
  const std::string back = converted(folder, gguf, "back");
  EXPECT_EQ(file_contents(back + "/pare.json"), model.read("pare.json"));
  EXPECT_EQ(file_contents(converted(folder, model.path(), "copy") + "/pare.json"), model.read("pare.json"));
}

TEST(Convert, RefusesWithoutATrace) {
  const TempDir folder;
  const std::string out = (folder / "out").string();
  expect_failure({"convert", kTinyModel, "-o", out, "--dtype", "q8_0"}, 2,
                 "--dtype q8_0 needs a .gguf output");
  expect_failure({"convert", kTinyModel, "-o", out, "--dtype", "q4_k"}, 2, "--dtype");
  expect_failure({"convert", kTinyModel, "-o", out, "--shard-size", "0"}, 2, "--shard-size");
  expect_failure({"convert", kTinyModel, "-o", out, "--shard-size", "-1"}, 2, "--shard-size");
  const TinyModelCopy model;
  expect_failure({"convert", model.path(), "-o", model.path()}, 1, "is the input");
  expect_failure({"convert", kTinyModel, "-o", (folder / "absent/x.gguf").string()}, 1, "absent");
  expect_failure({"convert", (folder / "absent.gguf").string(), "-o", out}, 1, "does not exist");
  EXPECT_EQ(files_in(folder), 0u);
  const std::string there = folder.file("there.gguf", "precious").string();
  expect_failure({"convert", kTinyModel, "-o", there}, 1, "exists");
  EXPECT_EQ(file_contents(there), "precious");
  EXPECT_EQ(files_in(folder), 1u);
}

// Killed at any moment, the final name is absent or complete.
TEST(Convert, KilledRunsLeaveNothingUnderTheFinalName) {
  for (const char* name : {"out", "out.gguf"}) {
    const TempDir folder;
    const std::string out = (folder / name).string();
    const std::string whole = converted(folder, kTinyModel, std::string("whole") + name);
    const std::string file = fs::is_directory(whole) ? "/model.safetensors" : "";
    for (const char* delay : {"0.003", "0.01", "0.02", "0.04", "0.08"}) {
      run_command({"/bin/sh", "-c",
                   "timeout -s KILL " + std::string(delay) + " " PARE_BINARY " convert " + kTinyModel +
                       " -o " + out});
      if (!fs::exists(out)) continue;
      EXPECT_TRUE(file_contents(out + file) == file_contents(whole + file));
      fs::remove_all(out);
    }
    converted(folder, kTinyModel, name);  // what they left is not in the way
    EXPECT_FALSE(fs::exists(out + ".partial"));
  }
}

}  // namespace
}  // namespace pare::test
