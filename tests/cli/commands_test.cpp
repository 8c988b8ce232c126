// Ordinary runs of every command on a tiny trained model, against what other programs say about it.
#include <algorithm>
#include <cmath>

#include "cli/pare_command.h"

namespace pare::test {
namespace {

Json expected() { return golden_json("tiny-model/expected.json"); }
std::string prompt() { return expected()["generate"]["prompt"].get<std::string>(); }

TEST(Commands, HelpAndVersion) {
  EXPECT_THAT(pare({"--version"}).out, testing::StartsWith("pare "));
  const CommandResult help = pare({"--help"});
  EXPECT_EQ(help.status, 0);
  for (const char* command : {"inspect", "eval", "generate", "bench", "report", "tokenize", "logits"}) {
    EXPECT_THAT(help.out, testing::HasSubstr(command));
    const CommandResult own = pare({command, "--help"});
    EXPECT_EQ(own.status, 0);
    EXPECT_THAT(own.out, testing::HasSubstr("MODEL"));
    EXPECT_EQ(pare({"help", command}).out, own.out);
  }
  EXPECT_EQ(pare({"-V"}).out, pare({"--version"}).out);
  EXPECT_EQ(pare({"help"}).out, help.out);
}

TEST(Commands, Inspect) {
  const Json json = pare_json({"inspect", kTinyModel});
  // Embedding, 4 layers of q, k, v, o, gate, up, down and two norms, final norm; the head is tied.
  const int64_t block = 64 * 64 + 2 * 32 * 64 + 64 * 64 + 3 * 64 * 128;
  EXPECT_EQ(json["parameters"], 384 * 64 + 4 * (block + 2 * 64) + 64);
  EXPECT_EQ(json["block_parameters"], 4 * block);
  EXPECT_EQ(json["bytes_by_encoding"]["bf16"], 2 * (384 * 64 + 4 * block));
  EXPECT_EQ(json["tied"], true);
  EXPECT_EQ(json["eos_token_ids"], Json({2}));
  EXPECT_EQ(json["disagreements"], Json::array());
  ASSERT_EQ(json["blocks"].size(), 1u);
  EXPECT_EQ(json["blocks"][0]["last"], 3);
  EXPECT_EQ(json["zeros"].size(), 8u);
  ASSERT_EQ(json["roles"].size(), 8u);  // embedding, q, k, v, o, gate, up, down
  EXPECT_EQ(json["roles"][0], Json({{"role", "embedding"},
                                    {"matrices", 1},
                                    {"weights", 384 * 64},
                                    {"bytes", 384 * 64 * 2},
                                    {"bits_per_weight", 16.0}}));
  EXPECT_EQ(json["roles"][7]["matrices"], 4);
  EXPECT_EQ(json["roles"][7]["bytes"], 4 * 64 * 128 * 2);
  for (const Json& linear : json["linears"]) EXPECT_EQ(linear["pattern"], "dense");
  const CommandResult text = pare({"inspect", kTinyModel});
  EXPECT_EQ(text.status, 0);
  EXPECT_THAT(text.out, testing::HasSubstr("0-3"));
  const TinyModelCopy other;
  other.write("generation_config.json", R"({"eos_token_id": [2, 0]})");
  EXPECT_THAT(
      pare({"inspect", other.path()}).out,
      testing::HasSubstr("disagreement  ends of a text: config.json 2; generation_config.json 2, 0; "));
}

TEST(Commands, TokenizeFromEverywhere) {
  const Json ids = expected()["generate"]["prompt_tokens"];
  EXPECT_EQ(pare_json({"tokenize", kTinyModel, "-p", prompt()})["ids"], ids);
  const TempDir folder;
  EXPECT_EQ(pare_json({"tokenize", kTinyModel, folder.file("text", prompt()).string()})["ids"], ids);
  const std::string line = fmt::format("{}\n", fmt::join(ids.get<std::vector<int>>(), " "));
  EXPECT_EQ(pare({"tokenize", kTinyModel}, prompt()).out, line);
}

TEST(Commands, TokenizeSpecialTokensOnlyWhenTheyAreMeant) {
  EXPECT_EQ(pare({"tokenize", kTinyModel, "-p", "<|im_end|>"}).out, "2\n");
  EXPECT_GT(pare({"tokenize", kTinyModel, "-p", "<|im_end|>", "--no-special"}).out.size(), 2u);
}

TEST(Commands, LogitsPickTheExpectedTokens) {
  const Json generate = expected()["generate"];
  std::vector<int> sequence = generate["prompt_tokens"].get<std::vector<int>>();
  const size_t prompt_tokens = sequence.size();
  for (const Json& id : generate["new_tokens"]) sequence.push_back(id.get<int>());
  const std::string tokens = fmt::format("{}", fmt::join(sequence, ","));
  const Json logits = pare_json({"logits", kTinyModel, "--tokens", tokens})["logits"];
  ASSERT_EQ(logits.size(), sequence.size());
  for (size_t t = prompt_tokens - 1; t + 1 < sequence.size(); ++t) {
    const std::vector<float> row = logits[t].get<std::vector<float>>();
    ASSERT_EQ(row.size(), 384u);
    EXPECT_EQ(std::max_element(row.begin(), row.end()) - row.begin(), sequence[t + 1]) << "position " << t;
  }
  const CommandResult text = pare({"logits", kTinyModel, "--tokens", "5,6"});
  EXPECT_EQ(std::count(text.out.begin(), text.out.end(), '\n'), 2);
}

TEST(Commands, GenerateGivesTheExpectedText) {
  const Json generate = expected()["generate"];
  const std::string count = std::to_string(generate["new_tokens"].size());
  const Json json =
      pare_json({"generate", kTinyModel, "-p", prompt(), "--max-tokens", count, "--dtype", "f32"});
  EXPECT_EQ(json["tokens"], generate["new_tokens"]);
  EXPECT_EQ(json["text"], generate["text"]);
  EXPECT_EQ(json["finish_reason"], "length");
  EXPECT_EQ(json["prompt_tokens"], generate["prompt_tokens"].size());
  const CommandResult streamed =
      pare({"generate", kTinyModel, "-p", "-", "--max-tokens", count, "--dtype", "f32", "--quiet"}, prompt());
  EXPECT_EQ(streamed.out, generate["text"].get<std::string>() + "\n");
  EXPECT_EQ(streamed.err, "");
}

TEST(Commands, GenerateStops) {
  const std::string text = expected()["generate"]["text"].get<std::string>();
  const std::string stop = text.substr(7, 9);  // "se at the": across tokens
  const Json json = pare_json(
      {"generate", kTinyModel, "-p", prompt(), "--dtype", "f32", "--stop", "never", "--stop", stop});
  EXPECT_EQ(json["text"], text.substr(0, 7));
  EXPECT_EQ(json["finish_reason"], "stop");
}

TEST(Commands, SamplingIsSeededAndIndependentOfThreads) {
  const auto sample = [](const std::string& seed, const std::string& threads) {
    return pare_json({"generate", kTinyModel, "-p", "The", "--temperature", "1.5", "--max-tokens", "40",
                      "--seed", seed, "--threads", threads})["tokens"];
  };
  EXPECT_EQ(sample("1", "1"), sample("1", "3"));
  EXPECT_NE(sample("1", "1"), sample("2", "1"));
}

TEST(Commands, EvalGivesThePublishedPerplexity) {
  const Json golden = expected();
  ASSERT_GE(golden["perplexity"].size(), 2u);
  for (const Json& entry : golden["perplexity"]) {
    const Json json =
        pare_json({"eval", kTinyModel, "--ppl", PARE_GOLDEN_DIR "/" + entry["file"].get<std::string>(),
                   "--seqlen", entry["seqlen"].dump()});
    EXPECT_EQ(json["text"]["windows"], entry["windows"]);
    const double wanted = entry["perplexity"].get<double>();
    // The golden has six decimals and comes from other f32 sums.
    EXPECT_NEAR(json["models"][0]["perplexity"].get<double>(), wanted, 2e-5 * wanted);
  }
}

TEST(Commands, EvalComparesModels) {
  const Json json =
      pare_json({"eval", kTinyModel, kTinyModel, "--ppl", kTestText, "--seqlen", "64", "--windows", "4"});
  ASSERT_EQ(json["models"].size(), 2u);
  EXPECT_EQ(json["models"][1]["kl"], 0.0);
  EXPECT_EQ(json["models"][1]["kl_99"], 0.0);
  EXPECT_EQ(json["models"][1]["top1"], 1.0);
  EXPECT_EQ(json["models"][0]["perplexity"], json["models"][1]["perplexity"]);
  EXPECT_EQ(json["text"]["windows"], 4);
  EXPECT_EQ(json["text"]["sha256"].get<std::string>().size(), 64u);

  const double f32 = json["models"][0]["perplexity"].get<double>();
  const Json bf16 = pare_json(
      {"eval", kTinyModel, "--ppl", kTestText, "--seqlen", "64", "--windows", "4", "--dtype", "bf16"});
  // bf16 rounds every input of a product by up to 2^-9; the losses average over many.
  EXPECT_NEAR(bf16["models"][0]["perplexity"].get<double>(), f32, 0.01 * f32);
}

TEST(Commands, EvalPrintsTables) {
  const Json json = pare_json({"eval", kTinyModel, "--ppl", kTestText, "--seqlen", "64", "--windows", "2"});
  const std::string number = fmt::format("{:.3f}", json["models"][0]["perplexity"].get<double>());
  for (const bool markdown : {false, true}) {
    std::vector<std::string> arguments = {"eval",     kTinyModel, "--ppl",     kTestText,
                                          "--seqlen", "64",       "--windows", "2"};
    if (markdown) arguments.emplace_back("--markdown");
    const CommandResult result = pare(arguments);
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_THAT(result.out, testing::HasSubstr(number));
    EXPECT_THAT(result.out, testing::HasSubstr("2 windows of 64 tokens, f32"));
    EXPECT_EQ(result.out.find("|---") != std::string::npos, markdown);
  }
}

TEST(Commands, EvalWarnsWhenTheTextHasFewerWindows) {
  const CommandResult result =
      pare({"eval", kTinyModel, "--ppl", kTestText, "--seqlen", "128", "--windows", "1000"});
  EXPECT_EQ(result.status, 0);
  EXPECT_THAT(result.err, testing::HasSubstr("has 59 windows, fewer than 1000"));
}

TEST(Commands, BenchMeasuresModelsSideBySide) {
  const Json json = pare_json({"bench", kTinyModel, kTinyModel, "--prefill", "32", "--decode", "8", "--depth",
                               "0", "--repeats", "2", "--profile", "--threads", "1"});
  ASSERT_EQ(json["models"].size(), 2u);
  EXPECT_GT(json["memory_bytes_per_second"].get<double>(), 1e8);
  for (const Json& model : json["models"]) {
    EXPECT_GT(model["prefill_tokens_per_second"].get<double>(), 0.0);
    EXPECT_GT(model["decode_tokens_per_second"].get<double>(), 0.0);
    EXPECT_GT(model["peak_rss"].get<int64_t>(), model["resident_bytes"].get<int64_t>());
    EXPECT_LT(model["peak_rss"].get<int64_t>(), int64_t{200} << 20);
    EXPECT_GT(model["linear_share_decode"].get<double>(), 0.0);
    EXPECT_GE(model["bits_per_weight"].get<double>(), 16.0);
    int64_t linears = 0;
    for (const Json& kernel : model["kernels"]) linears += kernel["linears"].get<int64_t>();
    EXPECT_EQ(linears, 4 * 4 + 1);
    // Contexts of 1 to 8 tokens; 4 layers of 2 KV heads with 16 + 16 bf16 values.
    EXPECT_DOUBLE_EQ(model["kv_bytes_per_token"].get<double>(), 4.5 * 4 * 2 * 32 * 2);
  }
  const CommandResult text = pare({"bench", kTinyModel, "--prefill", "8", "--decode", "2", "--repeats", "1"});
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_THAT(text.out, testing::HasSubstr("decode/s"));
  EXPECT_THAT(text.out, testing::HasSubstr("bf16 ×17"));
}

TEST(Commands, GenerateTakesTheModelsDefaults) {
  const TinyModelCopy model;
  const auto generate = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"generate", model.path(), "-p", prompt()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return pare_json(arguments);
  };
  const Json greedy = generate({"-n", "20"});
  const int second = greedy["tokens"][1].get<int>();
  model.write("generation_config.json", fmt::format(R"({{"eos_token_id": [2, {}]}})", second));
  const Json ended = generate({"-n", "20"});
  EXPECT_EQ(ended["finish_reason"], "eos");
  EXPECT_EQ(ended["tokens"], Json::array({greedy["tokens"][0]}));
  model.write("generation_config.json", R"({"temperature": 5.0, "max_new_tokens": 7})");
  const Json sampled = generate({});
  EXPECT_EQ(sampled["tokens"].size(), 7u);
  EXPECT_EQ(sampled["tokens"], generate({"-n", "7", "--temperature", "5"})["tokens"]);
  EXPECT_NE(sampled["tokens"], generate({"--temperature", "0"})["tokens"]);
  const CommandResult said = pare({"generate", model.path(), "-p", "Mira", "-n", "1", "--top-k", "3"});
  EXPECT_THAT(
      said.err,
      testing::HasSubstr("sampling is temperature 5, top-k 3; defaults are those of generation_config.json"));
}

}  // namespace
}  // namespace pare::test
