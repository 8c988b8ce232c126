// Folders whose linears are N:M sparse or int8: what is written, read and refused.
#include "checkpoint/storage.h"

#include <gtest/gtest.h>

#include "base/mapped_file.h"
#include "checkpoint/save.h"
#include "checkpoint/verify_saved.h"
#include "support/expect_error.h"
#include "support/run_model.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"
#include "tensor/sparse_weight.h"

namespace pare::test {
namespace {

std::string weights_of(const TempDir& folder) { return read_file(folder / "model.safetensors", 1 << 24); }

Json config_of(const TempDir& folder) {
  return parse_json(read_file(folder / "config.json", 1 << 20), "config");
}

// A tiny model whose linears have zeros like the pattern, stored dense.
Model sparse_model(Pattern pattern, Encoding encoding, const TinyModelOptions& options = {}) {
  Model model = make_tiny_model(options);
  const auto stored = [&](Weight& weight, bool sparse) {
    Matrix<float> values = decode(weight);
    for (int64_t r = 0; sparse && r < values.rows(); ++r)
      for (int64_t c = 0; c < values.cols(); ++c)
        if ((c * 7 + r) % pattern.group >= pattern.kept) values(r, c) = 0.0f;
    weight = Weight::from_matrix(values.view(), encoding);
  };
  for_each_tensor(
      model, [&](const TensorPlace& place, Weight& weight) { stored(weight, place.block >= 0); },
      [](const TensorPlace&, std::vector<float>&) {});
  return model;
}

Matrix<float> logits(const Model& model) {
  return run_model(model, some_tokens(12, model.config.vocab_size));
}

int64_t linears_of(const Model& model, Pattern pattern, Encoding encoding) {
  int64_t count = 0;
  for_each_tensor(
      model,
      [&](const TensorPlace&, const Weight& w) { count += w.format == WeightFormat(pattern, encoding); },
      [](const TensorPlace&, const std::vector<float>&) {});
  return count;
}

TEST(Storage, PackedAndBackIsTheSameFile) {
  TinyModelOptions fives;  // rows of 40 and 60 values
  fives.width = 40;
  fives.heads = 5;
  fives.kv_heads = 1;
  fives.intermediate = 60;
  const std::pair<const char*, TinyModelOptions> cases[] = {{"2:4", {}}, {"4:8", {}},    {"1:4", {}},
                                                            {"6:8", {}}, {"3:5", fives}, {"2:4", fives}};
  for (const auto& [name, options] : cases)
    for (const Encoding e : {Encoding::kF32, Encoding::kF16, Encoding::kBF16}) {
      SCOPED_TRACE(fmt::format("{} {}", name, encoding_info(e).name));
      const Pattern pattern = parse_pattern(name);
      const TempDir dense;
      save_hf(sparse_model(pattern, e, options), dense.path());
      const Model model = load_model(dense.path());
      for (const uint64_t shard : {kDefaultShardBytes, uint64_t{3000}}) {
        const TempDir packed;
        save_hf(model, packed.path(),
                {.format = StorageFormat::kPacked, .pattern = pattern, .max_shard_bytes = shard});
        const Model read = load_model(packed.path());
        EXPECT_EQ(linears_of(read, pattern, e), 14);
        EXPECT_EQ(largest_difference(logits(model), logits(read)), 0.0);
        const TempDir back;
        save_hf(read, back.path());
        EXPECT_TRUE(weights_of(back) == weights_of(dense));
        EXPECT_EQ(config_of(back), config_of(dense));
      }
    }
}

TEST(Storage, SizesAreThoseOfTheFile) {
  const Model model = sparse_model(k2of4, Encoding::kBF16);
  const TempDir packed;
  save_hf(model, packed.path(), {.format = StorageFormat::kPacked});
  const Model read = load_model(packed.path());
  const ModelSize before = model_size(model);
  const ModelSize after = model_size(read);
  EXPECT_EQ(after.block_parameters * 2, before.block_parameters);
  EXPECT_EQ(after.parameters, before.parameters - after.block_parameters);
  EXPECT_EQ(after.dense_parameters, before.parameters);
  // Rows of 32 and 48 values: 9 of 16 bits.
  EXPECT_EQ(before.bytes - after.bytes, before.block_parameters * 2 * 7 / 16);
  uint64_t stored = 0;
  const SafetensorsFile file = read_safetensors(packed / "model.safetensors");
  for (const auto& [name, tensor] : file.tensors)
    if (tensor.shape.size() == 2) stored += tensor.bytes.size();
  int64_t vectors = 0;
  for_each_tensor(
      read, [](const TensorPlace&, const Weight&) {},
      [&](const TensorPlace&, const std::vector<float>& v) {
        vectors += static_cast<int64_t>(v.size()) * 4;
      });
  EXPECT_EQ(static_cast<int64_t>(stored), after.bytes - vectors);
}

TEST(Storage, FindsThePatternOfEachLinear) {
  Model model = sparse_model(k2of4, Encoding::kBF16);
  auto& attention = std::get<Attention>(model.blocks[0].stages[0].branches[0]);
  const Model other = sparse_model({1, 4}, Encoding::kBF16);
  attention.k =
      std::get<Attention>(other.blocks[0].stages[0].branches[0]).k;  // packed in one stack with q and v
  attention.v.weight = Weight::from_matrix(
      decode(std::get<Attention>(make_tiny_model().blocks[0].stages[0].branches[0]).v.weight).view(),
      Encoding::kBF16);
  const TempDir packed;
  save_hf(model, packed.path(), {.format = StorageFormat::kPacked});
  const Model read = load_model(packed.path());
  EXPECT_EQ(linears_of(read, k2of4, Encoding::kBF16), 12);
  EXPECT_EQ(linears_of(read, {1, 4}, Encoding::kBF16), 1);
  EXPECT_EQ(linears_of(read, kDense, Encoding::kBF16), 2);  // v and the embedding
  EXPECT_EQ(largest_difference(logits(model), logits(read)), 0.0);
  // One pattern for all: what does not fit stays dense.
  const TempDir two;
  save_hf(read, two.path(), {.format = StorageFormat::kPacked, .pattern = k2of4});
  EXPECT_EQ(linears_of(load_model(two.path()), k2of4, Encoding::kBF16), 13);
  EXPECT_EQ(largest_difference(logits(model), logits(load_model(two.path()))), 0.0);
}

TEST(Storage, Int8IsThatOfTheLinears) {
  for (const bool sparse : {false, true}) {
    const Model model = sparse ? sparse_model(k2of4, Encoding::kBF16) : sparse_model({4, 4}, Encoding::kBF16);
    const TempDir packed;
    save_hf(model, packed.path(), {.dtype = Encoding::kInt8, .format = StorageFormat::kPacked});
    const SavedCheck check = verify_saved(model, packed.path());
    EXPECT_GT(check.rounding, 1e-3);
    EXPECT_LT(check.rounding, 2e-2);
    const Model read = load_model(packed.path());
    EXPECT_EQ(linears_of(read, sparse ? k2of4 : kDense, Encoding::kInt8), 14);
    EXPECT_EQ(read.embedding.format.encoding, Encoding::kBF16);
    EXPECT_EQ(config_of(packed)["torch_dtype"], "bfloat16");
    // What was rounded once is not rounded again.
    const TempDir again;
    save_hf(read, again.path(), {.format = StorageFormat::kPacked});
    EXPECT_TRUE(weights_of(again) == weights_of(packed));
    const TempDir f32;
    save_hf(read, f32.path(), {.dtype = Encoding::kF32});
    EXPECT_EQ(largest_difference(logits(read), logits(load_model(f32.path()))), 0.0);
    const TempDir plain;
    save_hf(read, plain.path());
    EXPECT_EQ(linears_of(load_model(plain.path()), kDense, Encoding::kBF16), 15);
  }
}

TinyModelOptions wide_options() {
  TinyModelOptions options;  // rows of 64 and 128 values
  options.width = 64;
  options.heads = 8;
  options.kv_heads = 4;
  options.intermediate = 128;
  return options;
}

TEST(Storage, Int4IsThatOfTheLinears) {
  for (const char* name : {"int4", "int4-g32", "int4-g64-z", "2:4-int4-g32", "2:4-int4-g64-z", "int8-g64"}) {
    SCOPED_TRACE(name);
    const WeightFormat format = parse_format(name);
    const Pattern pattern = format.pattern.dense() ? Pattern{4, 4} : format.pattern;
    const Model model = sparse_model(pattern, Encoding::kBF16, wide_options());
    const TempDir packed;
    save_hf(model, packed.path(), {.dtype = format.in(kDense), .format = StorageFormat::kPacked});
    const SavedCheck check = verify_saved(model, packed.path());
    EXPECT_GT(check.rounding, 1e-3);
    EXPECT_LT(check.rounding, format.group == 0 ? 0.3 : 0.15);
    const Model read = load_model(packed.path());
    int64_t linears = 0;
    for_each_tensor(
        read, [&](const TensorPlace&, const Weight& w) { linears += w.format == format; },
        [](const TensorPlace&, const std::vector<float>&) {});
    EXPECT_EQ(linears, 14);
    EXPECT_EQ(read.embedding.format, Encoding::kBF16);
    const Json storage = config_of(packed)["quantization_config"];
    EXPECT_EQ(storage["version"], 2);
    EXPECT_EQ(storage["tensors"]["model.layers.0.mlp.down_proj.weight"], name);
    EXPECT_EQ(storage["int8"], Json::array());
    // What was rounded once is not rounded again.
    const TempDir again;
    save_hf(read, again.path(), {.format = StorageFormat::kPacked});
    EXPECT_TRUE(weights_of(again) == weights_of(packed));
    EXPECT_EQ(config_of(again), config_of(packed));
    const TempDir f32;
    save_hf(read, f32.path(), {.dtype = Encoding::kF32});
    EXPECT_EQ(largest_difference(logits(read), logits(load_model(f32.path()))), 0.0);
    const TempDir int8;
    save_hf(read, int8.path(), {.dtype = Encoding::kInt8, .format = StorageFormat::kPacked});
    EXPECT_EQ(linears_of(load_model(int8.path()), format.pattern, Encoding::kInt8), 14);
    EXPECT_EQ(config_of(int8)["quantization_config"]["version"], 1);
    const TempDir plain;
    save_hf(read, plain.path());
    EXPECT_EQ(linears_of(load_model(plain.path()), kDense, Encoding::kBF16), 15);
  }
}

// Blocks are for all linears of the layers, and for embedding and head.
TEST(Storage, BlocksAreThoseOfEveryTableAndLinear) {
  for (const Encoding encoding : {Encoding::kQ4N, Encoding::kQ3N, Encoding::kIQ4_NL, Encoding::kQ8_0}) {
    SCOPED_TRACE(encoding_info(encoding).name);
    TinyModelOptions options = wide_options();
    options.tied = encoding == Encoding::kQ3N;
    const Model model = make_tiny_model(options);
    const TempDir packed;
    save_hf(model, packed.path(), {.dtype = encoding, .format = StorageFormat::kPacked});
    const SavedCheck check = verify_saved(model, packed.path());
    EXPECT_GT(check.rounding, 1e-3);
    EXPECT_LT(check.rounding, 0.2);
    const Model read = load_model(packed.path());
    EXPECT_EQ(linears_of(read, kDense, encoding), options.tied ? 15 : 16);
    const Json storage = config_of(packed)["quantization_config"];
    EXPECT_EQ(storage["version"], 2);
    EXPECT_EQ(storage["tensors"]["model.embed_tokens.weight"], encoding_info(encoding).name);
    const TempDir again;
    save_hf(read, again.path(), {.format = StorageFormat::kPacked});
    EXPECT_TRUE(weights_of(again) == weights_of(packed));
    EXPECT_EQ(config_of(again), config_of(packed));
    const TempDir f32;
    save_hf(read, f32.path(), {.dtype = Encoding::kF32});
    EXPECT_EQ(largest_difference(logits(read), logits(load_model(f32.path()))), 0.0);
    const TempDir plain;
    save_hf(read, plain.path());
    EXPECT_EQ(linears_of(load_model(plain.path()), kDense, Encoding::kBF16), options.tied ? 15 : 16);
  }
}

TEST(Storage, RowsThatDoNotDivideIntoBlocksStayFloats) {
  const Model model = make_tiny_model();  // down has rows of 48 values
  const TempDir packed;
  save_hf(model, packed.path(), {.dtype = Encoding::kQ4N, .format = StorageFormat::kPacked});
  const Model read = load_model(packed.path());
  EXPECT_EQ(linears_of(read, kDense, Encoding::kQ4N), 13);
  EXPECT_EQ(linears_of(read, kDense, Encoding::kF32), 2);
}

TEST(Storage, BitmaskAndBackIsTheSameFile) {
  const Model model = sparse_model(k2of4, Encoding::kBF16);
  const TempDir dense;
  save_hf(model, dense.path());
  for (const uint64_t shard : {kDefaultShardBytes, uint64_t{3000}}) {
    const TempDir bitmask;
    save_hf(model, bitmask.path(), {.format = StorageFormat::kSparse24Bitmask, .max_shard_bytes = shard});
    const Model read = load_model(bitmask.path());
    EXPECT_EQ(linears_of(read, k2of4, Encoding::kBF16), 14);
    const Json sparsity = config_of(bitmask)["quantization_config"]["sparsity_config"];
    EXPECT_EQ(sparsity["format"], "sparse-24-bitmask");
    EXPECT_EQ(sparsity["ignore"], Json::array({"lm_head"}));
    const TempDir back;
    save_hf(read, back.path());
    EXPECT_TRUE(weights_of(back) == weights_of(dense));
  }
}

// The format stands in the config once, in the words of compressed-tensors; scales are of the model's type.
TEST(Storage, PackQuantizedFoldersAreOfTheirFamily) {
  for (const Encoding type : {Encoding::kF16, Encoding::kBF16, Encoding::kF32})
    for (const int32_t group : {32, 64}) {
      SCOPED_TRACE(fmt::format("{} {}", encoding_info(type).name, group));
      const WeightFormat format = {kDense, Encoding::kInt4, group};
      const Model model = sparse_model({4, 4}, type, wide_options());
      const TempDir folder;
      save_hf(model, folder.path(), {.dtype = format, .format = StorageFormat::kPackQuantized});
      const SavedCheck check = verify_saved(model, folder.path());
      EXPECT_GT(check.rounding, 1e-3);
      EXPECT_LT(check.rounding, 0.15);
      const Json config = config_of(folder);
      EXPECT_EQ(config["model_type"], "llama");
      EXPECT_FALSE(config.contains("auto_map"));
      EXPECT_FALSE(std::filesystem::exists(folder / "modeling_pare.py"));
      const Json& storage = config["quantization_config"];
      EXPECT_EQ(storage["quant_method"], "compressed-tensors");
      EXPECT_EQ(storage["format"], "pack-quantized");
      EXPECT_EQ(storage["quantization_status"], "compressed");
      EXPECT_EQ(storage["ignore"], Json::array({"lm_head"}));
      const Json& weights = storage["config_groups"]["group_0"]["weights"];
      EXPECT_EQ(weights["group_size"], group);
      EXPECT_EQ(weights["num_bits"], 4);
      const Model read = load_model(folder.path());
      WeightFormat stored = format;
      stored.scale_type = type;
      int64_t linears = 0;
      for_each_tensor(
          read, [&](const TensorPlace&, const Weight& w) { linears += w.format == stored; },
          [](const TensorPlace&, const std::vector<float>&) {});
      EXPECT_EQ(linears, 14);
      EXPECT_EQ(read.embedding.format, type);
      // Read again it needs no type, and packed it stays the same codes.
      const TempDir again;
      save_hf(read, again.path(), {.format = StorageFormat::kPackQuantized});
      EXPECT_TRUE(weights_of(again) == weights_of(folder));
      EXPECT_EQ(config_of(again), config);
      const TempDir packed;
      save_hf(read, packed.path(), {.format = StorageFormat::kPacked});
      EXPECT_EQ(largest_difference(logits(read), logits(load_model(packed.path()))), 0.0);
      const TempDir back;
      save_hf(load_model(packed.path()), back.path(), {.format = StorageFormat::kPackQuantized});
      EXPECT_TRUE(weights_of(back) == weights_of(folder));
    }
}

TEST(Storage, PackQuantizedServesEveryFamily) {
  for (TinyModelOptions options : {opt_like(), phi_like(), olmo2_like()}) {
    SCOPED_TRACE(options.architecture);
    options.width = 64;
    options.heads = 8;
    options.kv_heads = 8;
    options.intermediate = 128;
    const Model model = sparse_model({4, 4}, Encoding::kBF16, options);
    const TempDir folder;
    save_hf(model, folder.path(),
            {.dtype = WeightFormat(kDense, Encoding::kInt4, 32), .format = StorageFormat::kPackQuantized});
    EXPECT_EQ(config_of(folder)["model_type"], options.architecture);
    verify_saved(model, folder.path());
  }
}

// What transformers does not find it fills with random numbers: only pare's own code may load such a folder.
TEST(Storage, PackedFoldersAreLoadedByParesCodeAlone) {
  for (const TinyModelOptions& options : {TinyModelOptions(), opt_like(), phi_like(), olmo2_like()}) {
    SCOPED_TRACE(options.architecture);
    const Model model = sparse_model(k2of4, Encoding::kBF16, options);
    const TempDir packed;
    save_hf(model, packed.path(), {.dtype = Encoding::kInt8, .format = StorageFormat::kPacked});
    const Json config = config_of(packed);
    EXPECT_EQ(config["model_type"], "pare");
    EXPECT_EQ(config["architectures"], Json::array({"PareForCausalLM"}));
    EXPECT_EQ(config["pare"]["family"], options.architecture);
    EXPECT_EQ(config["auto_map"]["AutoModelForCausalLM"], "modeling_pare.PareForCausalLM");
    EXPECT_TRUE(std::filesystem::exists(packed / "modeling_pare.py"));
    EXPECT_EQ(config["quantization_config"]["int8"].size(), config["quantization_config"]["tensors"].size());
    // It is still one of its family.
    const TempDir dense;
    save_hf(load_model(packed.path()), dense.path());
    EXPECT_EQ(config_of(dense)["model_type"], options.architecture);
  }
}

// compressed-tensors finds the family it knows, pare's code itself, where both call the tensors the same.
TEST(Storage, BitmaskFoldersHaveTwoWaysIn) {
  const std::pair<TinyModelOptions, const char*> cases[] = {{TinyModelOptions(), "llama"},
                                                            {opt_like(), "pare"}};
  for (const auto& [options, type] : cases) {
    const Model model = sparse_model(k2of4, Encoding::kBF16, options);
    const TempDir folder;
    save_hf(model, folder.path(), {.format = StorageFormat::kSparse24Bitmask});
    const Json config = config_of(folder);
    EXPECT_EQ(config["model_type"], type);
    EXPECT_TRUE(config.contains("pare") && config.contains("auto_map"));
    EXPECT_TRUE(std::filesystem::exists(folder / "modeling_pare.py"));
    EXPECT_EQ(largest_difference(logits(model), logits(load_model(folder.path()))), 0.0);
  }
}

TEST(Storage, AWindowSurvivesPacking) {
  const Model model = load_model(golden_folder("mistral/window"));
  const TempDir dense;
  save_hf(model, dense.path());
  const TempDir packed;
  save_hf(model, packed.path(), {.dtype = Encoding::kInt8, .format = StorageFormat::kPacked});
  const TempDir back;
  save_hf(load_model(packed.path()), back.path(), {.dtype = Encoding::kF32});
  EXPECT_EQ(config_of(back), config_of(dense));
}

TEST(Storage, GgufOfASparseFolderIsDense) {
  const Tokenizer tokenizer = load_tokenizer(golden_folder("tiny-model"));
  TinyModelOptions options;
  options.vocab = tokenizer.vocab_size();
  const Model model = sparse_model(k2of4, Encoding::kBF16, options);
  const TempDir folder;
  save_hf(model, folder.path(), {.format = StorageFormat::kPacked});
  save_gguf(model, tokenizer, folder / "dense.gguf", std::nullopt);
  save_gguf(load_model(folder.path()), tokenizer, folder / "sparse.gguf", std::nullopt);
  EXPECT_TRUE(read_file(folder / "dense.gguf", 1 << 24) == read_file(folder / "sparse.gguf", 1 << 24));
}

TEST(Storage, RefusesWhatCannotBe) {
  const Model dense = make_tiny_model();
  const TempDir folder;
  const auto save = [&](const SaveOptions& options) { save_hf(dense, folder.path(), options); };
  EXPECT_PARE_ERROR(save({.format = StorageFormat::kPacked}), ErrorCode::kInvalid,
                    "nothing to pack: none of the 14 linears is in an N:M pattern that saves space");
  EXPECT_PARE_ERROR(save({.format = StorageFormat::kPacked, .pattern = k2of4}), ErrorCode::kInvalid,
                    "is 2:4");
  EXPECT_PARE_ERROR(save({.dtype = Encoding::kInt8, .format = StorageFormat::kPacked, .pattern = k2of4}),
                    ErrorCode::kInvalid, "is 2:4");
  EXPECT_PARE_ERROR(save({.format = StorageFormat::kSparse24Bitmask}), ErrorCode::kInvalid, "is 2:4");
  EXPECT_PARE_ERROR(save({.dtype = Encoding::kInt8}), ErrorCode::kUsage, "int8 needs the format packed");
  EXPECT_PARE_ERROR(save({.dtype = Encoding::kInt8, .format = StorageFormat::kSparse24Bitmask}),
                    ErrorCode::kUsage, "sparse-24-bitmask folders are f32, f16 or bf16");
  EXPECT_PARE_ERROR(save({.dtype = WeightFormat(kDense, Encoding::kInt4, 32)}), ErrorCode::kUsage,
                    "int4-g32 needs the format packed");
  EXPECT_PARE_ERROR(
      save({.dtype = WeightFormat(kDense, Encoding::kInt4, 32), .format = StorageFormat::kPacked}),
      ErrorCode::kInvalid, "mlp.down_proj.weight\" cannot be int4-g32: its rows of 48 values do not divide");
  EXPECT_PARE_ERROR(save({.pattern = k2of4}), ErrorCode::kUsage, "a pattern needs the format packed");
  EXPECT_PARE_ERROR(save({.dtype = Encoding::kQ8_0}), ErrorCode::kUsage, "q8_0 needs the format packed");
  EXPECT_PARE_ERROR(save({.format = StorageFormat::kPackQuantized}), ErrorCode::kUsage,
                    "pack-quantized needs a type: int4-g32, int4-g64 or int4-g128");
  for (const WeightFormat& format : {WeightFormat(Encoding::kBF16), WeightFormat(Encoding::kInt8),
                                     WeightFormat(kDense, Encoding::kInt4, 32, true)})
    EXPECT_PARE_ERROR(save({.dtype = format, .format = StorageFormat::kPackQuantized}), ErrorCode::kUsage,
                      "pack-quantized needs a type");
  EXPECT_PARE_ERROR(
      save({.dtype = WeightFormat(kDense, Encoding::kInt4, 32), .format = StorageFormat::kPackQuantized}),
      ErrorCode::kInvalid, "mlp.down_proj.weight\" cannot be int4-g32");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Storage, RefusesConfigsItDoesNotKnow) {
  const auto read = [](const char* text) {
    return read_storage({{"quantization_config", parse_json(text, "test")}});
  };
  EXPECT_EQ(read_storage({{"quantization_config", nullptr}}).format, StorageFormat::kPlain);
  EXPECT_EQ(
      read(R"({"quant_method":"compressed-tensors","config_groups":{},"sparsity_config":{"format":"dense"}})")
          .format,
      StorageFormat::kPlain);
  EXPECT_EQ(read(R"({"quant_method":"compressed-tensors","sparsity_config":{"format":"sparse-24-bitmask"}})")
                .format,
            StorageFormat::kSparse24Bitmask);
  const std::tuple<const char*, ErrorCode, const char*> cases[] = {
      {R"([])", ErrorCode::kFormat, "expected an object"},
      {R"({"bits":4})", ErrorCode::kFormat, "\"quant_method\" is missing"},
      {R"({"quant_method":"gptq"})", ErrorCode::kUnsupported, "quant_method \"gptq\" is not supported"},
      {R"({"quant_method":"compressed-tensors","transform_config":{"a":1}})", ErrorCode::kUnsupported,
       "\"transform_config\""},
      {R"({"quant_method":"compressed-tensors","config_groups":{"group_0":{}}})", ErrorCode::kUnsupported,
       "\"format\" is null; pare reads pack-quantized weights where it is \"pack-quantized\""},
      {R"({"quant_method":"compressed-tensors","format":"pack-quantized","config_groups":{"group_0":{}}})",
       ErrorCode::kFormat, "group_0: \"weights\" is missing"},
      {R"({"quant_method":"compressed-tensors","sparsity_config":{"format":"sparse-bitmask"}})",
       ErrorCode::kUnsupported, "\"sparse-bitmask\" is not supported"},
      {R"({"quant_method":"compressed-tensors","sparsity_config":{"targets":[]}})", ErrorCode::kFormat,
       "\"format\" is missing"},
      {R"({"quant_method":"pare","format":"packed"})", ErrorCode::kFormat, "\"version\" is missing"},
      {R"({"quant_method":"pare","format":"packed","version":3})", ErrorCode::kUnsupported, "of version 3"},
      {R"({"quant_method":"pare","format":"blocks","version":1})", ErrorCode::kUnsupported, "\"blocks\""},
      {R"({"quant_method":"pare","format":"packed","version":1})", ErrorCode::kFormat,
       "\"tensors\" is missing"},
      {R"({"quant_method":"pare","format":"packed","version":1,"tensors":[1]})", ErrorCode::kFormat,
       "\"tensors\""},
      {R"({"quant_method":"pare","format":"packed","version":1,"tensors":{"x.weight":"4:2"}})",
       ErrorCode::kFormat, "the pattern of tensor \"x.weight\" is \"4:2\""},
      {R"({"quant_method":"pare","format":"packed","version":1,"tensors":{"x.weight":24}})",
       ErrorCode::kFormat, "the pattern of tensor \"x.weight\" is 24"},
      {R"({"quant_method":"pare","format":"packed","version":2,"tensors":{"x.weight":"int4-g16"}})",
       ErrorCode::kFormat, "the pattern of tensor \"x.weight\" is \"int4-g16\""},
      {R"({"quant_method":"pare","format":"packed","version":2,"tensors":{"x.weight":"2:4-bf16"}})",
       ErrorCode::kFormat, "the pattern of tensor \"x.weight\" is \"2:4-bf16\", expected \"dense\", N:M"},
  };
  for (const auto& [text, code, message] : cases) {
    SCOPED_TRACE(text);
    EXPECT_PARE_ERROR(read(text), code, message);
  }
}

// Quantised weights of compressed-tensors that pare does not read are named for what they are.
TEST(Storage, RefusesOtherQuantisedWeights) {
  const auto read = [](auto&& edit) {
    Json config = pack_quantized_config({kDense, Encoding::kInt4, 128}, {"lm_head"});
    edit(config, config["config_groups"]["group_0"], config["config_groups"]["group_0"]["weights"]);
    return read_storage({{"quantization_config", config}});
  };
  const Storage good = read([](Json&, Json&, Json&) {});
  EXPECT_EQ(good.format, StorageFormat::kPackQuantized);
  EXPECT_EQ(good.quantized, WeightFormat(kDense, Encoding::kInt4, 128));
  const Storage channels = read([](Json&, Json&, Json& w) {
    w["strategy"] = "channel";
    w["group_size"] = nullptr;
  });
  EXPECT_EQ(channels.quantized, WeightFormat(Encoding::kInt4));
  const auto refused = [&](auto&& edit, const char* message) {
    EXPECT_PARE_ERROR(read(edit), ErrorCode::kUnsupported, message);
  };
  refused([](Json& c, Json&, Json&) { c["format"] = "float-quantized"; },
          "\"format\" is \"float-quantized\"");
  refused(
      [](Json& c, Json&, Json&) {
        c["kv_cache_scheme"] = {{"num_bits", 8}};
      },
      "\"kv_cache_scheme\" is {");
  refused([](Json& c, Json&, Json&) { c["sparsity_config"] = {{"format", "marlin-24"}}; }, "\"marlin-24\"");
  refused(
      [](Json&, Json& g, Json&) {
        g["input_activations"] = {{"num_bits", 8}};
      },
      "\"input_activations\" is {");
  refused([](Json&, Json&, Json& w) { w["num_bits"] = 8; }, "group_0: weights: \"num_bits\" is 8");
  refused([](Json&, Json&, Json& w) { w["type"] = "float"; }, "\"type\" is \"float\"");
  refused([](Json&, Json&, Json& w) { w["symmetric"] = false; }, "\"symmetric\" is false");
  refused([](Json&, Json&, Json& w) { w["strategy"] = "tensor"; },
          "the strategy \"tensor\" is not supported");
  refused([](Json&, Json&, Json& w) { w["group_size"] = 16; }, "groups of 16 columns are not supported");
  refused(
      [](Json& c, Json& g, Json&) {
        c["config_groups"]["group_1"] = g;
        c["config_groups"]["group_1"]["weights"]["group_size"] = 32;
      },
      "groups of different formats, int4-g128 and int4-g32");
}

// What stands in config.json must fit the tensors.
TEST(Storage, TensorsAndConfigMustAgree) {
  const TempDir folder;
  save_hf(sparse_model(k2of4, Encoding::kBF16), folder.path(), {.format = StorageFormat::kPacked});
  const Json good = config_of(folder);
  const auto load_with = [&](auto&& edit) {
    Json config = good;
    edit(config["quantization_config"]);
    folder.file("config.json", config.dump());
    return load_model(folder.path());
  };
  constexpr const char* kDown = "model.layers.1.mlp.down_proj.weight";
  load_with([](Json&) {});
  EXPECT_PARE_ERROR(load_with([&](Json& q) { q["tensors"].erase(kDown); }), ErrorCode::kNotFound, kDown);
  EXPECT_PARE_ERROR(load_with([&](Json& q) { q["tensors"][kDown] = "1:4"; }), ErrorCode::kFormat,
                    "down_proj.weight.values");
  EXPECT_PARE_ERROR(load_with([&](Json& q) { q["tensors"][kDown] = "1:2"; }), ErrorCode::kFormat,
                    "down_proj.weight");
  EXPECT_PARE_ERROR(load_with([&](Json& q) { q["tensors"]["other.weight"] = "2:4"; }), ErrorCode::kFormat,
                    "other.weight");
  EXPECT_PARE_ERROR(load_with([&](Json& q) { q = nullptr; }), ErrorCode::kNotFound, "q_proj.weight");
}

}  // namespace
}  // namespace pare::test
