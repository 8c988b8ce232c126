// GGUF files of layers that differ: llama.cpp's architecture `deci`.
#include <gtest/gtest.h>

#include "base/log.h"
#include "base/mapped_file.h"
#include "checkpoint/arch/architecture.h"
#include "checkpoint/save.h"
#include "checkpoint/whole_values.h"
#include "model/visit.h"
#include "support/expect_error.h"
#include "support/run_model.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

namespace pare::test {
namespace {

std::string contents(const std::filesystem::path& path) { return read_file(path, 1 << 24); }

TinyModelOptions three_layers() {
  return {.vocab = 400, .width = 24, .layers = 3, .heads = 6, .head_dim = 6};
}

Weight first_columns(const Weight& weight, int64_t cols) {
  const Matrix<float> all = decode(weight);
  return Weight::from_matrix(all.view().block(0, 0, all.rows(), cols));
}

// The hidden stream of one layer, without its last neurons.
void cut_hidden(Model& model, size_t block, int64_t width) {
  auto& mlp = std::get<Mlp>(model.blocks[block].stages.back().branches.front());
  for (Linear* linear : {&mlp.gate, &mlp.up}) {
    linear->weight = rows_of(linear->weight, 0, width);
    linear->bias.resize(linear->bias.empty() ? 0 : static_cast<size_t>(width));
  }
  mlp.down.weight = first_columns(mlp.down.weight, width);
  update_config(model);
}

// Value streams of one value less a head than queries and keys have: the last of each goes.
void cut_values(Model& model, size_t block) {
  auto& a = std::get<Attention>(model.blocks[block].stages.front().branches.front());
  const int64_t dim = a.value_head_dim;
  const auto kept = [&](int64_t heads) {
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < heads * dim; ++i)
      if (i % dim != dim - 1) rows.push_back(i);
    return rows;
  };
  const std::vector<int64_t> rows = kept(a.kv_heads);
  a.v.weight = gather_rows(a.v.weight, rows);
  if (!a.v.bias.empty()) {
    const std::vector<float> old = a.v.bias;
    a.v.bias.clear();
    for (const int64_t r : rows) a.v.bias.push_back(old[static_cast<size_t>(r)]);
  }
  const Matrix<float> old = decode(a.o.weight);
  const std::vector<int64_t> columns = kept(a.heads);
  Matrix<float> o(old.rows(), static_cast<int64_t>(columns.size()));
  for (int64_t r = 0; r < o.rows(); ++r)
    for (int64_t c = 0; c < o.cols(); ++c) o(r, c) = old(r, columns[static_cast<size_t>(c)]);
  a.o.weight = Weight::from_matrix(std::as_const(o).view());
  a.value_head_dim = dim - 1;
  update_config(model);
}

Model sliced(const TinyModelOptions& options = three_layers()) {
  Model model = make_tiny_model(options);
  cut_hidden(model, 0, 40);
  cut_hidden(model, 2, 16);
  return model;
}

void save(const Model& model, const std::filesystem::path& path) {
  save_gguf(model, load_tokenizer(golden_folder("tiny-model")), path, std::nullopt);
}

TEST(Deci, HoldsLayersOfDifferentHiddenWidths) {
  for (const bool biases : {false, true}) {
    TinyModelOptions options = three_layers();
    options.biases = biases;
    const Model model = sliced(options);
    const TempDir folder;
    save(model, folder / "model.gguf");
    const GgufFile file = read_gguf(folder / "model.gguf");
    EXPECT_EQ(file.metadata.get_string("general.architecture"), "deci");
    EXPECT_EQ(file.metadata.get_i32s("deci.feed_forward_length"), (std::vector<int32_t>{40, 48, 16}));
    EXPECT_EQ(file.metadata.get_u32("deci.attention.head_count"), 6u);
    EXPECT_EQ(file.metadata.get_u32("deci.attention.head_count_kv"), 2u);
    EXPECT_EQ(file.metadata.get_u32("deci.attention.value_length"), 6u);
    const Model again = load_model(folder / "model.gguf");
    EXPECT_EQ(again.config.blocks, model.config.blocks);
    const auto tokens = some_tokens(40, model.config.vocab_size);
    EXPECT_EQ(largest_difference(run_model(model, tokens), run_model(again, tokens)), 0.0);
    // And back: the folder that comes of it holds the same tensors.
    const TempDir first;
    const TempDir second;
    save_hf(model, first.path());
    save_hf(again, second.path());
    EXPECT_TRUE(contents(first / "model.safetensors") == contents(second / "model.safetensors"));
  }
}

// Qwen2 stores the rows of queries and keys in another order than llama.cpp's deci.
TEST(Deci, HoldsSlicesOfQwen2) {
  Model model = sliced();
  model.config.architecture = "qwen2";
  for (Block& block : model.blocks) {
    auto& a = std::get<Attention>(block.stages.front().branches.front());
    for (Linear* linear : {&a.q, &a.k, &a.v})
      for (int64_t r = 0; r < linear->weight.rows; ++r)
        linear->bias.push_back(0.1f * static_cast<float>(r % 7));
  }
  update_config(model);
  const TempDir folder;
  save(model, folder / "model.gguf");
  const Model again = load_model(folder / "model.gguf");
  const auto tokens = some_tokens(40, model.config.vocab_size);
  EXPECT_EQ(largest_difference(run_model(model, tokens), run_model(again, tokens)), 0.0);
}

TEST(Deci, ModelsThatArePlainKeepTheirFamily) {
  const TempDir folder;
  save(make_tiny_model(three_layers()), folder / "model.gguf");
  EXPECT_EQ(read_gguf(folder / "model.gguf").metadata.get_string("general.architecture"), "llama");
}

TEST(Deci, NarrowValuesAreWrittenWhole) {
  TinyModelOptions options = three_layers();
  options.biases = true;
  Model model = sliced(options);
  cut_values(model, 1);
  const TempDir folder;
  EXPECT_PARE_ERROR(save(model, folder / "model.gguf"), ErrorCode::kUnsupported, "not as wide as its keys");
  std::string warnings;
  set_log_sink([&](LogLevel, std::string_view message) { warnings += message; });
  const Model whole = with_whole_values(model);
  set_log_sink({});
  // A row of v and its bias for 2 KV heads, a column of o for 6 heads.
  EXPECT_EQ(model_size(whole).parameters - model_size(model).parameters, 2 * 25 + 6 * 24);
  EXPECT_NE(warnings.find("those of 1 layers are written with zeros, 194 parameters"), std::string::npos)
      << warnings;
  const auto tokens = some_tokens(40, model.config.vocab_size);
  EXPECT_LE(largest_difference(run_model(model, tokens), run_model(whole, tokens)), 1e-5);
  save(whole, folder / "model.gguf");
  EXPECT_EQ(
      largest_difference(run_model(whole, tokens), run_model(load_model(folder / "model.gguf"), tokens)),
      0.0);
}

TEST(Deci, OneNarrowWidthOfValuesNeedsNoLayersThatDiffer) {
  Model model = make_tiny_model(three_layers());
  for (size_t b = 0; b < 3; ++b) cut_values(model, b);
  EXPECT_EQ(gguf_writing_architecture(with_whole_values(model).config).name, "llama");
}

TEST(Deci, SaysWhyAModelDoesNotFit) {
  Model qwen3 = make_tiny_model(qwen3_like());
  cut_hidden(qwen3, 0, 40);
  EXPECT_PARE_ERROR(with_whole_values(qwen3), ErrorCode::kUnsupported,
                    "not for qwen3; slicing with `uniform`");
  EXPECT_PARE_ERROR(with_whole_values(load_model(golden_folder("sliced/block-rotation"))),
                    ErrorCode::kUnsupported, "the residual stream passes matrices");
  EXPECT_PARE_ERROR(with_whole_values(load_model(golden_folder("sliced/opt-streams"))),
                    ErrorCode::kUnsupported, "no GGUF files of architecture opt");
}

// A file as DeciLM and Nemotron-NAS models have it.
class DeciFile : public ::testing::Test {
 protected:
  DeciFile() {
    save(sliced(), folder_ / "model.gguf");
    file_ = read_gguf(folder_ / "model.gguf");
  }

  ModelConfig with(const std::string& key, std::vector<int32_t> numbers) {
    GgufFile file = file_;
    file.metadata = {};
    for (const GgufEntry& entry : file_.metadata.entries())
      if (entry.key != key) file.metadata.add(entry.key, entry.value);
    file.metadata.add(key, GgufArray{std::move(numbers)});
    return deci_architecture().read_gguf(file);
  }

  TempDir folder_;
  GgufFile file_;
};

TEST_F(DeciFile, LayersMayLackAttention) {
  const ModelConfig config = with("deci.attention.head_count", {0, 6, 6});
  EXPECT_EQ(config.heads, 6);
  EXPECT_EQ(config.blocks[0].value_head_dim, 0);
  EXPECT_EQ(config.blocks[1].value_head_dim, 6);
  EXPECT_TRUE(deci_architecture().is_plain(config));
}

TEST_F(DeciFile, LayersWithoutAttentionAreWrittenAndRead) {
  Model model = sliced();
  model.blocks[0].stages.front() = {};
  update_config(model);
  save(model, folder_ / "bare.gguf");
  EXPECT_EQ(read_gguf(folder_ / "bare.gguf").metadata.get_i32s("deci.attention.head_count"),
            (std::vector<int32_t>{0, 6, 6}));
  const Model again = load_model(folder_ / "bare.gguf");
  const auto tokens = some_tokens(40, model.config.vocab_size);
  EXPECT_EQ(largest_difference(run_model(model, tokens), run_model(again, tokens)), 0.0);
}

TEST_F(DeciFile, WhatPareHasNotIsNamed) {
  EXPECT_PARE_ERROR(with("deci.attention.head_count_kv", {2, 0, 2}), ErrorCode::kUnsupported,
                    "layer 1 has a matrix in the place of its attention");
  EXPECT_PARE_ERROR(with("deci.attention.head_count_kv", {2, 2, 1}), ErrorCode::kUnsupported,
                    "layer 2 has 6 heads and 1 KV heads, an earlier one 6 and 2");
  EXPECT_PARE_ERROR(with("deci.feed_forward_length", {40, 0, 16}), ErrorCode::kUnsupported,
                    "layer 1 has attention but no MLP");
  EXPECT_PARE_ERROR(with("deci.feed_forward_length", {40, 48}), ErrorCode::kFormat,
                    "has 2 numbers, expected one for each of 3 layers");
  EXPECT_PARE_ERROR(with("deci.feed_forward_length", {40, 48, -16}), ErrorCode::kFormat, "intermediate_size");
  EXPECT_PARE_ERROR(with("deci.attention.head_count", {0, 0, 0}), ErrorCode::kFormat, "head_count is 0");
}

// The name is one of GGUF files alone.
TEST(Deci, IsNoFamilyOfConfigJson) {
  EXPECT_PARE_ERROR(architecture_named("deci"), ErrorCode::kUnsupported, "deci");
}

}  // namespace
}  // namespace pare::test
