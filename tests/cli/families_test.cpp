// Every command on models that are not built like LLaMA.
#include <cmath>

#include "checkpoint/copy_files.h"
#include "checkpoint/save.h"
#include "cli/pare_command.h"
#include "support/tiny_model.h"

namespace pare::test {
namespace {

namespace fs = std::filesystem;

// A family, and what of it shows.
struct Family {
  const char* name;
  TinyModelOptions like;
  const char* norm;  // of `pare inspect`
  const char* blocks;
  const char* place = "input";
  bool gguf = false;
};

// Models of random weights, with the tiny model's tokenizer.
class Families : public ::testing::TestWithParam<Family> {
 protected:
  Families() {
    TinyModelOptions options = GetParam().like;
    options.vocab = 400;
    Model model = make_tiny_model(options);
    model.config.eos = {2};  // of the files beside it
    fs::create_directory(model_);
    save_hf(model, model_);
    copy_tokenizer_files(kTinyModel, model_);
  }
  std::string out(const char* name) const { return (folder_ / name).string(); }
  Json run(std::vector<std::string> arguments) const {
    if (arguments.size() > 2) arguments.insert(arguments.end(), {"--nsamples", "4", "--seqlen", "48"});
    return pare_json(std::move(arguments));
  }
  static double perplexity(const std::string& model) { return test::perplexity(model, 4); }

  TempDir folder_;
  const char* architecture() const { return GetParam().like.architecture; }
  bool rotatable() const { return GetParam().place == std::string("input"); }

  std::string model_ = (folder_ / "model").string();
};

std::string family_name(const ::testing::TestParamInfo<Family>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(
    Families, Families,
    ::testing::Values(Family{"opt", opt_like(), "layer", "without a gate"},
                      Family{"phi", phi_like(), "layer", "without a gate"},
                      Family{"qwen3", qwen3_like(), "RMS", "norms of each head's queries and keys", "input",
                             true},
                      Family{"olmo2", olmo2_like(), "RMS", "norms behind the branches, norms of all queries",
                             "branch", true},
                      Family{"opt350m", post_norm_like(), "layer", "norms behind the sums", "sum"}),
    family_name);

TEST_P(Families, RunAsAnyOther) {
  const Json facts = pare_json({"inspect", model_});
  EXPECT_EQ(facts["architecture"], architecture());
  EXPECT_EQ(facts["design"]["norm"], GetParam().norm);
  EXPECT_EQ(facts["design"]["norm_place"], GetParam().place);
  EXPECT_EQ(facts["design"]["gated"], GetParam().like.design.gated);
  EXPECT_EQ(facts["design"]["parallel"], architecture() == std::string("phi"));
  EXPECT_THAT(pare({"inspect", model_}).out, testing::HasSubstr(GetParam().blocks));
  const double loss = std::log(perplexity(model_));
  EXPECT_GT(loss, 4.0);  // random weights know nothing of 400 tokens
  EXPECT_LT(loss, 12.0);
  EXPECT_EQ(pare({"generate", model_, "-p", "the", "--max-tokens", "4"}).status, 0);
  EXPECT_EQ(pare({"bench", model_, "--prefill", "32", "--decode", "4"}).status, 0);
}

TEST_P(Families, AreConverted) {
  const CommandResult copied = pare({"convert", model_, "-o", out("copy"), "--dtype", "bf16"});
  EXPECT_EQ(copied.status, 0) << copied.err;
  EXPECT_EQ(parse_json(file_contents(out("copy") + "/config.json"), "config.json")["model_type"],
            architecture());
  const std::string gguf = out("model.gguf");
  if (!GetParam().gguf)
    return expect_failure({"convert", model_, "-o", gguf}, 1, "pare writes no GGUF files");
  EXPECT_EQ(pare({"convert", model_, "-o", gguf}).status, 0);
  EXPECT_EQ(perplexity(gguf), perplexity(model_));
}

TEST_P(Families, AreSlicedInEveryWay) {
  const std::vector<std::vector<std::string>> ways = {
      {"--target-params", "0.9"},
      {"--target-params", "0.9", "--uniform"},
      {"--sparsity", "0.25", "--rotation", "block"},
      {"--sparsity", "0.25", "--rotation", "block", "--untie"},
      {"--sparsity", "0.25", "--rotation", "global"}};
  const double dense = perplexity(model_);
  for (size_t i = 0; i < ways.size(); ++i) {
    if (ways[i].front() == "--sparsity" && !rotatable()) {
      std::vector<std::string> refused = {"slice", model_, "-o", out("refused")};
      refused.insert(refused.end(), ways[i].begin(), ways[i].end());
      expect_failure(refused, 1, "no rotation to slice along: norms stand behind");
      continue;
    }
    const std::string sliced = out(fmt::format("sliced-{}", i).c_str());
    std::vector<std::string> arguments = {"slice", model_, "-o", sliced, "--dtype", "f32"};
    arguments.insert(arguments.end(), ways[i].begin(), ways[i].end());
    std::vector<std::string> dry = arguments;
    dry.emplace_back("--dry-run");
    EXPECT_GT(run(dry)["seconds"].get<double>(), 0.0);
    run(arguments);
    const bool plain = ways[i].back() == "--uniform";
    const Json config = parse_json(file_contents(sliced + "/config.json"), "config.json");
    EXPECT_EQ(config["model_type"], plain ? architecture() : "pare");
    EXPECT_EQ(pare_json({"inspect", sliced})["architecture"], architecture());
    const double after = perplexity(sliced);
    EXPECT_NE(after, dense);
    EXPECT_LT(std::abs(std::log(after / dense)), 2.0);
    EXPECT_EQ(pare({"generate", sliced, "-p", "the", "--max-tokens", "4"}).status, 0);
  }
}

TEST_P(Families, BecomeSparse) {
  const std::string sparse = out("sparse");
  const Json report = run({"sparsify", model_, "-o", sparse, "--dtype", "f32", "--shuffle", "both"});
  EXPECT_EQ(report["sparsity"].size(), GetParam().like.design.gated ? 14u : 12u);
  for (const Json& check : report["exact_checks"])
    EXPECT_LE(check["relative_difference"].get<double>(), 1e-4) << check;
  EXPECT_EQ(parse_json(file_contents(sparse + "/config.json"), "config.json")["model_type"], architecture());
  EXPECT_EQ(pare({"convert", sparse, "-o", out("packed"), "--to", "packed"}).status, 0);
  EXPECT_EQ(perplexity(out("packed")), perplexity(sparse));
}

}  // namespace
}  // namespace pare::test
