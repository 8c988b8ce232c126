// What pare writes is what it read.
#include <gtest/gtest.h>

#include "base/log.h"
#include "base/mapped_file.h"
#include "checkpoint/hf_modeling.h"
#include "checkpoint/save.h"
#include "runtime/rope.h"
#include "support/expect_error.h"
#include "support/run_model.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

namespace pare::test {
namespace {

std::string contents(const std::filesystem::path& path) { return read_file(path, 1 << 24); }

Tokenizer tiny_tokenizer() { return load_tokenizer(golden_folder("tiny-model")); }

class HfRoundTrip : public ::testing::TestWithParam<const char*> {};

TEST_P(HfRoundTrip, WeightsAreTheSameBytes) {
  const auto source = golden_folder(GetParam());
  const Model model = load_model(source);
  const TempDir folder;
  save_hf(model, folder.path());
  EXPECT_TRUE(contents(source / "model.safetensors") == contents(folder / "model.safetensors"));
  const Model again = load_model(folder.path());
  const auto tokens = some_tokens(20, model.config.vocab_size);
  EXPECT_EQ(largest_difference(run_model(model, tokens), run_model(again, tokens)), 0.0);
  for (const ModelingFile& file : hf_modeling_files()) {
    EXPECT_EQ(std::filesystem::exists(folder / file.name), !is_plain(model)) << file.name;
    EXPECT_EQ(file.text, contents(std::filesystem::path(PARE_SOURCE_DIR) / "share/pare/hf" / file.name));
    if (!is_plain(model)) {
      EXPECT_EQ(file.text, contents(folder / file.name));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Goldens, HfRoundTrip,
    ::testing::Values("llama/mha", "llama/gqa-tied", "llama/bias", "llama/rope-linear", "llama/rope-llama3",
                      "llama/minimal-config", "llama/bf16", "llama/f16", "mistral/window",
                      "mistral/no-window", "mistral/minimal-config", "qwen2/gqa", "qwen2/tied", "opt/relu",
                      "opt/untied-gelu", "opt/bare-linears", "phi/half-rotary", "phi/quarter-rotary-gqa",
                      "phi/minimal-config", "sliced/all-streams", "sliced/block-rotation",
                      "sliced/global-rotation", "sliced/first-layer-bare", "sliced/opt-rotated",
                      "sliced/opt-streams", "sliced/phi-rotated", "sliced/phi-streams", "opt/post-norm",
                      "opt/post-norm-untied", "opt/no-final-norm", "qwen3/gqa", "qwen3/tied-bias",
                      "qwen3/minimal-config", "olmo2/mha", "olmo2/gqa-tied", "olmo2/minimal-config",
                      "sliced/qwen3-rotated", "sliced/olmo2-streams", "sliced/opt-post-norm", "tiny-model"));

// LlamaConfig of transformers 5 refuses a width that is no multiple of the heads, MistralConfig does not.
TEST(SaveHf, ALlamaOfAnyWidthLoadsElsewhere) {
  TinyModelOptions options;
  options.width = 30;
  options.vocab = tiny_tokenizer().vocab_size();
  const Model model = make_tiny_model(options);
  EXPECT_TRUE(is_plain(model));
  const auto tokens = some_tokens(20, options.vocab);
  const TempDir folder;
  save_hf(model, folder.path());
  const Json config = parse_json(contents(folder / "config.json"), "config");
  EXPECT_EQ(config["model_type"], "mistral");
  EXPECT_EQ(config["architectures"], Json::array({"MistralForCausalLM"}));
  EXPECT_TRUE(config.at("sliding_window").is_null());
  const Model again = load_model(folder.path());
  EXPECT_EQ(largest_difference(run_model(model, tokens), run_model(again, tokens)), 0.0);
  // As GGUF both are "llama".
  for (const Model& either : {model, again}) {
    const TempDir gguf;
    save_gguf(either, tiny_tokenizer(), gguf / "x.gguf", std::nullopt);
    EXPECT_EQ(read_gguf(gguf / "x.gguf").metadata.get_string("general.architecture"), "llama");
    EXPECT_EQ(largest_difference(run_model(model, tokens), run_model(load_model(gguf / "x.gguf"), tokens)),
              0.0);
  }
  // Mistral has no biases: pare's own code has.
  options.biases = true;
  const TempDir biased;
  save_hf(make_tiny_model(options), biased.path());
  EXPECT_EQ(parse_json(contents(biased / "config.json"), "config")["model_type"], "pare");
}

TEST(SaveHf, ShardsAndOneFileHoldTheSame) {
  const Model sharded = load_model(golden_folder("llama/sharded"));
  const TempDir one;
  save_hf(sharded, one.path());
  const TempDir many;
  save_hf(load_model(one.path()), many.path(), {.max_shard_bytes = 20000});
  EXPECT_TRUE(std::filesystem::exists(many / "model.safetensors.index.json"));
  const auto tokens = some_tokens(20, 97);
  EXPECT_EQ(largest_difference(run_model(sharded, tokens), run_model(load_model(many.path()), tokens)), 0.0);
}

TEST(SaveHf, VectorsThatTheTypeCannotHoldStayF32) {
  Model model = make_tiny_model({.biases = true});
  model.final_norm.weight.assign(model.final_norm.weight.size(), 1.5f);
  const TempDir folder;
  save_hf(model, folder.path(), {.dtype = Encoding::kBF16});
  const SafetensorsFile file = read_safetensors(folder / "model.safetensors");
  EXPECT_EQ(file.tensors.at("model.embed_tokens.weight").encoding, Encoding::kBF16);
  EXPECT_EQ(file.tensors.at("model.norm.weight").encoding, Encoding::kBF16);
  EXPECT_EQ(file.tensors.at("model.layers.0.input_layernorm.weight").encoding, Encoding::kF32);
  EXPECT_EQ(load_model(folder.path()).blocks[0].stages[0].norm.weight, model.blocks[0].stages[0].norm.weight);
  EXPECT_EQ(parse_json(contents(folder / "config.json"), "config.json")["torch_dtype"], "bfloat16");
}

// So are norms of queries and keys, and those behind a stage.
TEST(SaveHf, EveryNormWithoutWeightsIsWrittenAsOnes) {
  for (const TinyModelOptions& like : {qwen3_like(), olmo2_like(), post_norm_like()}) {
    SCOPED_TRACE(like.architecture);
    Model model = make_tiny_model(like);
    for (Block& block : model.blocks)
      for (Stage& stage : block.stages) {
        stage.norm.weight.clear();
        stage.norm.bias.clear();
        for (Branch& branch : stage.branches)
          if (auto* a = std::get_if<Attention>(&branch)) a->q_norm.weight = a->k_norm.weight = {};
      }
    const TempDir folder;
    save_hf(model, folder.path());
    const Model again = load_model(folder.path());
    EXPECT_EQ(model_size(again).parameters, model_size(model).parameters);
    const auto tokens = some_tokens(9, 64);
    EXPECT_EQ(largest_difference(run_model(model, tokens), run_model(again, tokens)), 0.0);
  }
}

TEST(SaveHf, NormsWithoutWeightsAreWrittenAsOnes) {
  Model model = make_tiny_model();
  model.blocks[1].stages[0].norm.weight.clear();
  model.final_norm.weight.clear();
  const TempDir folder;
  save_hf(model, folder.path());
  const Model again = load_model(folder.path());
  const ModelTensors stored = read_model_tensors(folder.path());
  EXPECT_EQ(as_vector(stored.tensors.at("model.norm.weight"), 32), std::vector<float>(32, 1.0f));
  EXPECT_TRUE(again.final_norm.weight.empty());  // ones scale nothing and are no parameters
  EXPECT_EQ(model_size(again).parameters, model_size(model).parameters);
  const auto tokens = some_tokens(9, 64);
  EXPECT_EQ(largest_difference(run_model(model, tokens), run_model(again, tokens)), 0.0);
}

// A tiny model with rows for all of the tokenizer's tokens, and some to spare.
TinyModelOptions gguf_options() { return {.vocab = 400, .width = 24, .heads = 6, .head_dim = 6}; }

void expect_gguf_keeps(const Model& model) {
  const TempDir folder;
  const auto path = folder / "model.gguf";
  const Tokenizer tokenizer = tiny_tokenizer();
  save_gguf(model, tokenizer, path, std::nullopt);
  const Model again = load_model(path);
  EXPECT_EQ(again.config.tied, model.config.tied);
  EXPECT_EQ(again.config.bias, model.config.bias);
  EXPECT_EQ(again.config.rope, model.config.rope);
  EXPECT_EQ(again.config.bos, model.config.bos);
  ASSERT_FALSE(again.config.eos.empty());  // and those that the vocabulary names
  EXPECT_EQ(again.config.eos.front(), model.config.eos.front());
  const auto tokens = some_tokens(40, model.config.vocab_size);
  EXPECT_EQ(largest_difference(run_model(model, tokens), run_model(again, tokens)), 0.0);
  // And back: the folder that comes of it holds the same tensors.
  const TempDir first;
  const TempDir second;
  save_hf(model, first.path());
  save_hf(again, second.path());
  EXPECT_TRUE(contents(first / "model.safetensors") == contents(second / "model.safetensors"));
}

TEST(SaveGguf, KeepsLogitsToTheBit) {
  TinyModelOptions options = gguf_options();
  expect_gguf_keeps(make_tiny_model(options));
  options.tied = false;
  expect_gguf_keeps(make_tiny_model(options));
  options.biases = true;
  expect_gguf_keeps(make_tiny_model(options));
}

TEST(SaveGguf, KeepsTheRotaryEmbedding) {
  TinyModelOptions options = gguf_options();
  options.head_dim = 64;
  options.heads = 2;
  Model model = make_tiny_model(options);
  model.config.rope.theta = 500000.0;
  expect_gguf_keeps(model);
  model.config.rope = {500000.0, RopeScaling::kLinear, 2.5};
  expect_gguf_keeps(model);
  model.config.rope = {500000.0, RopeScaling::kLlama3, 8.0};
  expect_gguf_keeps(model);
  model.config.rope.factor = 32.0;
  expect_gguf_keeps(model);
  for (const double share : {1.0, 0.75}) {
    model.config.rope = {10000.0, RopeScaling::kYarn, 4.0};
    model.config.rope.original_max_position = 64.0;
    model.config.rope.attention_factor = share * yarn_attention_factor(4.0);
    model.config.rope.beta_fast = 16.0;
    expect_gguf_keeps(model);
  }
  model.config.rope.truncate = false;
  const TempDir folder;
  EXPECT_PARE_ERROR(save_gguf(model, tiny_tokenizer(), folder / "model.gguf", std::nullopt),
                    ErrorCode::kUnsupported, "yarn");
}

// 40 tokens are more than the original context of 32, and fewer than that of 64.
TEST(SaveGguf, KeepsBothSetsOfDivisors) {
  TinyModelOptions options = gguf_options();
  options.head_dim = 8;
  Model model = make_tiny_model(options);
  for (const double original : {32.0, 64.0}) {
    model.config.rope.scaling = RopeScaling::kLongrope;
    model.config.rope.divisors = {1.0f, 1.5f, 3.0f, 20.0f};
    model.config.rope.long_divisors = {2.0f, 2.5f, 6.0f, 40.0f};
    model.config.rope.attention_factor = 1.25;
    model.config.rope.original_max_position = original;
    model.config.rope.factor = static_cast<double>(model.config.max_positions) / original;
    expect_gguf_keeps(model);
    const TempDir folder;
    save_hf(model, folder.path());
    EXPECT_EQ(load_model(folder.path()).config.rope, model.config.rope);
  }
}

TEST(SaveHf, KeepsEveryScalingOfTheRotaryEmbedding) {
  for (const char* golden :
       {"rope-yarn", "rope-yarn-older", "rope-longrope", "rope-dynamic", "rope-llama3"}) {
    const Model model = load_model(golden_folder(std::string("llama/") + golden));
    const TempDir folder;
    save_hf(model, folder.path());
    EXPECT_EQ(load_model(folder.path()).config.rope, model.config.rope) << golden;
  }
}

// A golden model with enough rows for the tokenizer.
Model with_rows(const std::string& golden) {
  Model model = load_model(golden_folder(golden));
  Matrix<float> rows = Matrix<float>::zeros(400, model.embedding.cols);
  const Matrix<float> old = decode(model.embedding);
  std::copy_n(old.data(), old.size(), rows.data());
  model.embedding = Weight::from_matrix(std::as_const(rows).view(), model.embedding.format.encoding);
  if (!model.head.empty()) model.head = model.embedding;
  model.config.vocab_size = 400;
  return model;
}

TEST(SaveGguf, OtherFamilies) {
  for (const char* golden : {"mistral/window", "mistral/no-window", "qwen2/gqa", "qwen2/tied", "qwen3/gqa",
                             "qwen3/minimal-config", "olmo2/mha"}) {
    SCOPED_TRACE(golden);
    expect_gguf_keeps(with_rows(golden));
  }
}

// llama.cpp would leave these tensors out, or ask for one that is not there.
TEST(SaveGguf, RefusesWhatTheFamilysLoaderDoesNotRead) {
  const TempDir folder;
  const auto save = [&](const Model& model) {
    save_gguf(model, tiny_tokenizer(), folder / "model.gguf", std::nullopt);
  };
  EXPECT_PARE_ERROR(save(with_rows("qwen3/tied-bias")), ErrorCode::kUnsupported, "qwen3 have no biases");
  EXPECT_PARE_ERROR(save(with_rows("olmo2/gqa-tied")), ErrorCode::kUnsupported, "olmo2 have no biases");
  TinyModelOptions tied = olmo2_like();
  tied.vocab = 400;
  tied.tied = true;
  EXPECT_PARE_ERROR(save(make_tiny_model(tied)), ErrorCode::kUnsupported, "a head of their own");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(SaveGguf, NormsOfQueriesAndKeysHaveTheirNames) {
  const TempDir folder;
  for (const auto& [golden, norm] : {std::pair("qwen3/gqa", "blk.1.ffn_norm.weight"),
                                     std::pair("olmo2/mha", "blk.1.post_ffw_norm.weight")}) {
    const Model model = with_rows(golden);
    save_gguf(model, tiny_tokenizer(), folder / "model.gguf", std::nullopt);
    const GgufFile file = read_gguf(folder / "model.gguf");
    EXPECT_EQ(file.metadata.get_string("general.architecture"), model.config.architecture);
    EXPECT_EQ(file.tensors.count(norm), 1u);
    const auto& a = std::get<Attention>(model.blocks[1].stages[0].branches[0]);
    const auto width = static_cast<int64_t>(a.k_norm.weight.size());
    EXPECT_EQ(as_vector(file.tensors.at("blk.1.attn_k_norm.weight"), width), a.k_norm.weight);
    std::filesystem::remove(folder / "model.gguf");
  }
}

TEST(SaveGguf, RowsOfQueriesAndKeysHaveTheFamilysOrder) {
  const TempDir folder;
  for (const auto& [golden, permuted] : {std::pair("mistral/window", true), std::pair("qwen2/gqa", false)}) {
    const Model model = with_rows(golden);
    const auto path = folder / (permuted ? "a.gguf" : "b.gguf");
    save_gguf(model, tiny_tokenizer(), path, std::nullopt);
    const GgufFile file = read_gguf(path);
    EXPECT_EQ(file.metadata.get_string("general.architecture"), permuted ? "llama" : "qwen2");
    const auto& q = std::get<Attention>(model.blocks[0].stages[0].branches[0]).q;
    const Matrix<float> ours = decode(q.weight);
    const Matrix<float> stored = decode(as_weight(file.tensors.at("blk.0.attn_q.weight")));
    const int64_t half = model.config.head_dim / 2;
    // Row 1 of a permuted head is the partner of row 0.
    EXPECT_TRUE(std::equal(stored.row(1), stored.row(2), ours.row(permuted ? half : 1)));
    EXPECT_EQ(file.tensors.count("blk.0.attn_q.bias"), q.bias.empty() ? 0u : 1u);
  }
}

TEST(SaveGguf, DivisorsOfTheRotaryEmbedding) {
  TinyModelOptions options = gguf_options();
  options.head_dim = 8;
  Model model = make_tiny_model(options);
  model.config.rope.scaling = RopeScaling::kDivisors;
  model.config.rope.divisors = {1.0f, 1.5f, 3.0f, 20.0f};
  expect_gguf_keeps(model);
  const TempDir folder;
  save_hf(model, folder.path());
  EXPECT_EQ(load_model(folder.path()).config.rope, model.config.rope);
  model.config.rope = {};
  const auto tokens = some_tokens(30, 400);
  EXPECT_GT(largest_difference(run_model(model, tokens), run_model(load_model(folder.path()), tokens)), 1e-2);
}

TEST(SaveGguf, TrainedTinyModel) { expect_gguf_keeps(load_model(golden_folder("tiny-model"))); }

TEST(SaveGguf, RefusesWhatOnlyPareExpresses) {
  const TempDir folder;
  EXPECT_PARE_ERROR(save_gguf(load_model(golden_folder("sliced/all-streams")), tiny_tokenizer(),
                              folder / "model.gguf", std::nullopt),
                    ErrorCode::kUnsupported, "GGUF");
  EXPECT_PARE_ERROR(
      save_gguf(make_tiny_model({.vocab = 100}), tiny_tokenizer(), folder / "model.gguf", std::nullopt),
      ErrorCode::kInvalid, "384 tokens");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(SaveGguf, ConvertsMatricesButNotVectors) {
  const TempDir folder;
  const Model model = make_tiny_model(gguf_options());
  save_gguf(model, tiny_tokenizer(), folder / "model.gguf", Encoding::kF16);
  const GgufFile file = read_gguf(folder / "model.gguf");
  for (const auto& [name, tensor] : file.tensors)
    EXPECT_EQ(tensor.encoding, tensor.shape.size() == 2 ? Encoding::kF16 : Encoding::kF32) << name;
  EXPECT_EQ(file.metadata.get_u32("general.file_type"), 1u);
  EXPECT_EQ(file.metadata.find("general.quantization_version"), nullptr);
}

TEST(SaveGguf, BlocksWhereRowsDivideIntoThem) {
  const TempDir folder;
  TinyModelOptions options = gguf_options();
  options.width = 64;
  options.heads = 8;
  options.intermediate = 80;  // 2.5 blocks
  const Model model = make_tiny_model(options);
  std::string warnings;
  set_log_sink([&](LogLevel, std::string_view message) { warnings += message; });
  save_gguf(model, tiny_tokenizer(), folder / "q8.gguf", Encoding::kQ8_0);
  set_log_sink({});
  const GgufFile file = read_gguf(folder / "q8.gguf");
  for (const auto& [name, tensor] : file.tensors) {
    const bool ragged =
        name.find("ffn_down") != std::string::npos || name.find("attn_output") != std::string::npos;
    const Encoding matrix = ragged ? Encoding::kF16 : Encoding::kQ8_0;
    EXPECT_EQ(tensor.encoding, tensor.shape.size() == 2 ? matrix : Encoding::kF32) << name;
    EXPECT_EQ(warnings.find(name + " (f16)") != std::string::npos, tensor.shape.size() == 2 && ragged)
        << name;
  }
  EXPECT_EQ(file.metadata.get_u32("general.file_type"), 7u);
  EXPECT_EQ(file.metadata.get_u32("general.quantization_version"), 2u);
  // What is stored already in blocks is copied, and becomes bf16 in a folder.
  const Model again = load_model(folder / "q8.gguf");
  save_gguf(again, tiny_tokenizer(), folder / "copy.gguf", std::nullopt);
  EXPECT_TRUE(contents(folder / "q8.gguf") == contents(folder / "copy.gguf"));
  const TempDir hf;
  save_hf(again, hf.path());
  EXPECT_EQ(load_model(hf.path()).embedding.format.encoding, Encoding::kBF16);
  EXPECT_PARE_ERROR(save_hf(again, hf.path(), {.dtype = Encoding::kQ8_0}), ErrorCode::kUsage, "q8_0");
}

}  // namespace
}  // namespace pare::test
