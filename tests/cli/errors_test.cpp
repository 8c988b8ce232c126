// What the program says, and how it ends, when it cannot do what it was asked to.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include "checkpoint/save.h"
#include "cli/pare_command.h"
#include "support/tiny_model.h"

namespace pare::test {
namespace {

using Arguments = std::vector<std::string>;
namespace fs = std::filesystem;

// Every command that opens a model, ready to run but for it.
std::vector<Arguments> commands_on(const std::string& model) {
  return {{"inspect", model},
          {"logits", model, "--tokens", "5,6"},
          {"generate", model, "-p", "Mira", "--max-tokens", "2"},
          {"eval", model, "--ppl", kTestText, "--seqlen", "16", "--windows", "1"},
          {"bench", model, "--prefill", "4", "--decode", "1", "--repeats", "1"}};
}

TEST(Errors, MissingModel) {
  for (const Arguments& arguments : commands_on("/nonexistent/model"))
    expect_failure(arguments, 1, "/nonexistent/model does not exist");
  expect_failure({"tokenize", "/nonexistent/model", "-p", "x"}, 1, "/nonexistent/model does not exist");
}

TEST(Errors, MissingText) {
  expect_failure({"eval", kTinyModel, "--ppl", "/nonexistent/text"}, 1, "/nonexistent/text");
  expect_failure({"tokenize", kTinyModel, "/nonexistent/text"}, 1, "/nonexistent/text");
}

TEST(Errors, WrongArchitecture) {
  const TinyModelCopy model;
  Json config = parse_json(model.read("config.json"), "config");
  config["architectures"] = {"GPT2LMHeadModel"};
  config["model_type"] = "gpt2";
  model.write("config.json", config.dump());
  for (const Arguments& arguments : commands_on(model.path())) expect_failure(arguments, 1, "gpt2");
}

TEST(Errors, TruncatedWeights) {
  const TinyModelCopy model;
  const std::string weights = model.read("model.safetensors");
  model.write("model.safetensors", weights.substr(0, weights.size() - 1));
  for (const Arguments& arguments : commands_on(model.path()))
    expect_failure(arguments, 1, "model.safetensors");
}

TEST(Errors, ForeignFilesInPlaceOfTheModelsOwn) {
  for (const char* name : {"config.json", "model.safetensors", "tokenizer.json"}) {
    const TinyModelCopy model;
    model.write(name, std::string(100, '\xff'));
    expect_failure({"generate", model.path(), "-p", "x"}, 1, name);
  }
  const TempDir folder;
  expect_failure({"inspect", folder.file("model.gguf", "not a gguf").string()}, 1, "model.gguf");
  expect_failure({"inspect", folder.path().string()}, 1, "give one of them as the model");
  expect_failure({"inspect", TempDir().path().string()}, 1, "config.json");
}

TEST(Errors, PointersAndPagesInPlaceOfTheModelsFiles) {
  for (const char* name :
       {"config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"}) {
    const TinyModelCopy model;
    model.write(name, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
    expect_failure({"generate", model.path(), "-p", "x"}, 1, std::string(name) + " is a Git LFS pointer");
    model.write(name, "<!DOCTYPE html>\n<html></html>");
    expect_failure({"generate", model.path(), "-p", "x"}, 1, std::string(name) + " is a page of HTML");
  }
  const TinyModelCopy model;
  std::filesystem::remove(model.path() + "/tokenizer.json");
  model.write("tokenizer.model", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
  expect_failure({"tokenize", model.path(), "-p", "x"}, 1, "tokenizer.model is a Git LFS pointer");
}

TEST(Errors, ValuesTooLargeForTheType) {
  const TinyModelCopy copy;
  Model model = make_tiny_model({.vocab = 384});
  model.config.eos = {2};  // of the files beside it
  auto& mlp = std::get<Mlp>(model.blocks[1].stages[1].branches[0]);
  Matrix<float> values = decode(mlp.up.weight);
  values(3, 5) = 1e5f;
  mlp.up.weight = Weight::from_matrix(std::as_const(values).view());
  std::filesystem::remove(copy.path() + "/model.safetensors");
  save_hf(model, copy.path(), {.dtype = Encoding::kF32});
  const TempDir folder;
  expect_failure({"convert", copy.path(), "-o", (folder / "out").string(), "--dtype", "f16"}, 1,
                 "too large for their new type");
}

TEST(Errors, WeightsThatAreNotNumbers) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    const TinyModelCopy copy;
    Model model = make_tiny_model({.vocab = 384});
    model.config.eos = {2};  // of the files beside it
    auto& mlp = std::get<Mlp>(model.blocks[1].stages[1].branches[0]);
    Matrix<float> values = decode(mlp.up.weight);
    values(3, 5) = bad;
    mlp.up.weight = Weight::from_matrix(std::as_const(values).view());
    std::filesystem::remove(copy.path() + "/model.safetensors");
    save_hf(model, copy.path(), {.dtype = Encoding::kF32});
    const std::string message = "the weights of layer 1 up hold a NaN or an infinity";
    expect_failure({"generate", copy.path(), "-p", "x"}, 1, message);
    expect_failure({"logits", copy.path(), "--tokens", "5"}, 1, message);
    expect_failure({"bench", copy.path(), "--prefill", "4", "--decode", "1"}, 1, message);
    expect_failure({"eval", copy.path(), "--ppl", kTestText, "--seqlen", "16"}, 1, message);
  }
}

TEST(Errors, TokenizersThatDisagree) {
  const TinyModelCopy other;
  other.write("tokenizer.json", file_contents(PARE_GOLDEN_DIR "/tokenizer/gpt2.tokenizer.json"));
  expect_failure({"eval", kTinyModel, other.path(), "--ppl", kTestText, "--seqlen", "16"}, 1,
                 "give different ids");
}

TEST(Errors, TextsAndPromptsOfTheWrongLength) {
  expect_failure({"eval", kTinyModel, "--ppl", kTestText, "--seqlen", "257"}, 1, "context of 256");
  expect_failure({"generate", kTinyModel, "-p", std::string(4000, 'x')}, 1, "model's context of 256");
  expect_failure({"logits", kTinyModel, "--tokens", "384"}, 1, "384");
  expect_failure({"logits", kTinyModel, "--tokens", "-1"}, 1, "-1");
  expect_failure({"bench", kTinyModel, "--prefill", "200", "--decode", "57"}, 1, "context of 256");
  const TempDir folder;
  const std::string empty = folder.file("empty", "").string();
  expect_failure({"eval", kTinyModel, "--ppl", empty, "--seqlen", "16"}, 1, "holds no text");
}

TEST(Errors, UsageEndsWithStatusTwo) {
  const std::vector<Arguments> usages = {
      {},
      {"unknown"},
      {"inspect"},
      {"inspect", kTinyModel, "surplus"},
      {"inspect", kTinyModel, "--unknown"},
      {"inspect", kTinyModel, "--threads", "-1"},
      {"inspect", kTinyModel, "--threads", "0"},
      {"inspect", kTinyModel, "--threads", "many"},
      {"generate", kTinyModel},
      {"generate", kTinyModel, "-p", "x", "--temperature", "nan"},
      {"generate", kTinyModel, "-p", "x", "--temperature", "-1"},
      {"generate", kTinyModel, "-p", "x", "--top-p", "0"},
      {"generate", kTinyModel, "-p", "x", "--top-k", "-1"},
      {"generate", kTinyModel, "-p", "x", "--min-p", "2"},
      {"generate", kTinyModel, "-p", "x", "--repetition-penalty", "0"},
      {"generate", kTinyModel, "-p", "x", "--repetition-penalty", "inf"},
      {"generate", kTinyModel, "-p", "x", "--max-tokens", "0"},
      {"generate", kTinyModel, "-p", "x", "--max-tokens", "99999999999999999999"},
      {"generate", kTinyModel, "-p", "x", "--seed", "-1"},
      {"generate", kTinyModel, "-p", "x", "--stop", ""},
      {"generate", kTinyModel, "-p", "x", "--dtype", "int9"},
      {"eval", kTinyModel},
      {"eval", kTinyModel, "--ppl", kTestText, "--windows", "0"},
      {"eval", kTinyModel, "--ppl", kTestText, "--windows", "-3"},
      {"eval", kTinyModel, "--ppl", kTestText, "--seqlen", "1"},
      {"eval", kTinyModel, "--ppl", kTestText, "--json", "--markdown"},
      {"bench", kTinyModel, "--repeats", "0"},
      {"bench", kTinyModel, "--prefill", "8", "--depth", "9"},
      {"logits", kTinyModel},
      {"logits", kTinyModel, "--tokens", "1,x"},
      {"logits", kTinyModel, "--tokens", "4294967296"},
      {"logits", kTinyModel, "--tokens", ""},
      {"serve", kTinyModel, "--top-p", "2"},
      {"tokenize", kTinyModel, "file", "-p", "text"},
  };
  for (const Arguments& arguments : usages) {
    SCOPED_TRACE(testing::PrintToString(arguments));
    expect_failure(arguments, 2, "");
  }
}

// The library names options in words.
TEST(Errors, OptionsAreNamedAsFlags) {
  expect_failure({"generate", kTinyModel, "-p", "x", "--min-p", "2"}, 2,
                 "error: --min-p is 2, expected 0..1");
  expect_failure({"bench", kTinyModel, "--prefill", "8", "--depth", "9"}, 2,
                 "--depth is 9, expected 0..8 (--prefill)");
  expect_failure({"sparsify", kTinyModel, "-o", "x", "--match", "model", "--sequential", "no"}, 2,
                 "--match model needs --sequential yes");
  expect_failure({"slice", kTinyModel, "-o", "x", "--sparsity", "0.2"}, 2,
                 "--sparsity needs --rotation or --uniform; otherwise give --target-params");
}

TEST(Errors, OtherWordsBetweenBackquotesStay) {
  const TempDir folder;
  const std::string text = folder.file("t.jsonl", "{\n\"text\": \"x\"\n}\n{\n").string();
  expect_failure({"eval", kTinyModel, "--ppl", text, "--seqlen", "16"}, 1,
                 "`jq -c . FILE` writes each record");
}

TEST(Errors, AWordThatIsNoCommandIsNamed) {
  expect_failure({"gen", kTinyModel}, 2, "gen is not a command, did you mean generate? (see pare --help)");
  expect_failure({"covnert"}, 2, "covnert is not a command, did you mean convert?");
  expect_failure({"bogus", kTinyModel}, 2, "bogus is not a command (see pare --help)");
  expect_failure({"help", "gen"}, 2, "gen is not a command, did you mean generate?");
  expect_failure({"-v"}, 2, "-v is not an option (see pare --help)");
  expect_failure({}, 2, "A subcommand is required (see pare --help)");
}

TEST(Errors, AWordThatIsNoChoiceNamesTheChoices) {
  expect_failure({"generate", kTinyModel, "-p", "x", "--dtype", "fp16"}, 2,
                 "fp16 is not one of bf16, f32, int8");
  expect_failure({"convert", kTinyModel, "-o", "x", "--dtype", "q4_k_m"}, 2,
                 "q4_k_m is not one of same, f32, f16, bf16, int8, q8_0, q6_k");
}

TEST(Errors, AnEmptyItemOfAListIsRefused) {
  for (const char* tokens : {"1,,2", ",1", "1,", ""})
    expect_failure({"logits", kTinyModel, "--tokens", tokens}, 2,
                   fmt::format("--tokens: an empty item in '{}'", tokens));
  expect_failure({"logits", kTinyModel, "--tokens", "1,x"}, 2, "--tokens = x is no number");
  const std::string task = PARE_GOLDEN_DIR "/tasks";
  expect_failure({"eval", kTinyModel, "--tasks", task + ",," + task}, 2, "--tasks: an empty item in");
  expect_failure({"slice", kTinyModel, "-o", "x", "--target-params", "0.9", "--streams", "hidden,"}, 2,
                 "--streams: an empty item in 'hidden,'");
  expect_failure({"slice", kTinyModel, "-o", "x", "--target-params", "0.9", "--streams", "hidden,head"}, 2,
                 "--streams: head is not one of hidden, value, residual");
  // The model may stand behind the list.
  EXPECT_EQ(pare({"logits", "--tokens", "1,2", kTinyModel}).status, 0);
}

TEST(Errors, NumbersOutOfRangeAreNamedWithIt) {
  expect_failure({"serve", kTinyModel, "--port", "99999"}, 2, "--port: Value 99999 not in range 0 to 65535");
  expect_failure({"generate", kTinyModel, "-p", "x", "--temperature", "hot"}, 2,
                 "--temperature = hot is no number that this option takes (see pare generate --help)");
}

// The file says nothing of its pre-tokenizer, which is warned of whenever the file is opened.
TEST(Messages, AWarningOfAFileIsSaidOnce) {
  const TempDir folder;
  const std::string path = (folder / "old.gguf").string();
  ASSERT_EQ(pare({"convert", kTinyModel, "-o", path}).status, 0);
  std::string bytes = file_contents(path);
  const std::string key = "tokenizer.ggml.pre";
  ASSERT_NE(bytes.find(key), std::string::npos);
  bytes.replace(bytes.find(key), key.size(), "tokenizer.ggml.prx");
  folder.file("old.gguf", bytes);
  const std::string task =
      folder.file("t.jsonl", R"({"context": "a", "choices": ["b", "c"], "gold": 0})").string();
  const CommandResult result =
      pare({"eval", path, path, "--ppl", kTestText, "--seqlen", "16", "--windows", "1", "--tasks", task});
  EXPECT_EQ(result.status, 0);
  const size_t first = result.err.find("warning: " + path + ": tokenizer.ggml.pre is missing");
  ASSERT_NE(first, std::string::npos) << result.err;
  EXPECT_EQ(result.err.find("tokenizer.ggml.pre is missing", first + path.size() + 30), std::string::npos)
      << result.err;
}

TEST(Messages, WhatHappensAgainIsSaidAgain) {
  const CommandResult result =
      pare({"chat", kTinyModel, "--chat-template", "chatml", "-n", "1"}, "Mira\nBram\n");
  const size_t first = result.err.find("the answer was cut off after 1 tokens");
  ASSERT_NE(first, std::string::npos) << result.err;
  EXPECT_NE(result.err.find("the answer was cut off after 1 tokens", first + 1), std::string::npos);
}

TEST(Errors, AFullDiskIsAFailureAndAClosedPipeIsNot) {
  const CommandResult full = run_command({PARE_BINARY, "inspect", kTinyModel}, "", "/dev/full");
  EXPECT_EQ(full.status, 1);
  EXPECT_THAT(full.err, testing::HasSubstr("cannot write to the standard output"));

  const std::string script = "{ " PARE_BINARY " logits " + kTinyModel +
                             " --tokens 1,2,3,4,5,6,7,8 --json; echo status $? >&2; } | true";
  const CommandResult closed = run_command({"/bin/sh", "-c", script});
  EXPECT_EQ(closed.err, "status 0\n");
}

// A result that cannot be a GGUF file is refused before any work; narrow values are made whole in one.
TEST(GgufOutput, IsCheckedBeforeAnyWork) {
  const TempDir folder;
  const fs::path broken = folder / "broken";
  fs::copy(kTinyModel, broken, fs::copy_options::recursive);
  folder.file("broken/tokenizer.json", "{}");
  for (const char* pass : {"slice", "quantize", "rotate"}) {
    Arguments arguments = {pass,        broken.string(), "-o",   (folder / "out.gguf").string(),
                           "--dry-run", "--calib",       "self", "--nsamples",
                           "2",         "--seqlen",      "16"};
    if (pass == std::string("slice")) arguments.insert(arguments.end(), {"--target-params", "0.9"});
    if (pass == std::string("quantize")) arguments.insert(arguments.end(), {"--format", "q8_0"});
    if (pass == std::string("rotate")) arguments.emplace_back("--untie");
    expect_failure(arguments, 1, "tokenizer.json");
  }
  const fs::path sliced = folder / "sliced";
  ASSERT_EQ(pare(pass_command("slice", sliced, {"--target-params", "0.9", "--round-interval", "4"})).status,
            0);
  const CommandResult sparse = pare({"sparsify", sliced.string(), "-o", (folder / "sparse.gguf").string(),
                                     "--calib", kCalibration, "--nsamples", "4", "--seqlen", "32"});
  EXPECT_EQ(sparse.status, 0) << sparse.err;
  EXPECT_THAT(sparse.err, testing::HasSubstr("values as wide as keys"));
}

}  // namespace
}  // namespace pare::test
