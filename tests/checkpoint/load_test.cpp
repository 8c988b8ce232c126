// Damaged models: errors name the tensor.
#include "checkpoint/load.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "base/json.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "checkpoint/save.h"
#include "io/gguf.h"
#include "io/model_dir.h"
#include "support/expect_error.h"
#include "support/run_model.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

namespace pare::test {
namespace {

using Edit = std::function<void(std::vector<TensorPlan>&)>;

// A folder with the golden model "bias" after an edit of the list of its tensors. New tensors are zeros.
class DamagedModel {
 public:
  explicit DamagedModel(const Edit& edit, const std::string& golden = "llama/bias") {
    const auto source = golden_folder(golden);
    std::filesystem::copy_file(source / "config.json", folder_ / "config.json");
    const SafetensorsFile file = read_safetensors(source / "model.safetensors");
    std::vector<TensorPlan> plan = file.order;
    edit(plan);
    write_model_tensors(folder_.path(), plan, [&](const TensorPlan& tensor) {
      const auto it = file.tensors.find(tensor.name);
      if (it != file.tensors.end() && it->second.shape == tensor.shape) return as_weight(it->second);
      int64_t rows = 1;
      for (const int64_t d : tensor.shape) rows *= d;
      return Weight::from_matrix(
          Matrix<float>::zeros(rows / tensor.shape.back(), tensor.shape.back()).view());
    });
  }
  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  TempDir folder_;
};

TensorPlan& tensor(std::vector<TensorPlan>& plan, const std::string& name) {
  for (TensorPlan& t : plan)
    if (t.name == name) return t;
  throw std::runtime_error("no " + name);
}

TEST(Load, MissingTensors) {
  for (const std::string name :
       {"model.embed_tokens.weight", "model.layers.1.self_attn.k_proj.weight",
        "model.layers.0.mlp.down_proj.bias", "model.norm.weight", "lm_head.weight"}) {
    const DamagedModel model(
        [&](auto& plan) { std::erase_if(plan, [&](const TensorPlan& t) { return t.name == name; }); });
    EXPECT_PARE_ERROR(load_model(model.path()), ErrorCode::kNotFound, "\"" + name + "\" is missing");
    // Several models may be open: the message says which one.
    EXPECT_PARE_ERROR(load_model(model.path()), ErrorCode::kNotFound, model.path().string() + ": ");
  }
}

TEST(Load, WrongShapes) {
  for (const std::string name : {"model.layers.1.self_attn.q_proj.weight", "model.layers.0.mlp.up_proj.bias",
                                 "model.layers.0.input_layernorm.weight"}) {
    const DamagedModel model([&](auto& plan) { tensor(plan, name).shape.front() += 1; });
    EXPECT_PARE_ERROR(load_model(model.path()), ErrorCode::kFormat, name);
  }
  const DamagedModel rank([](auto& plan) { tensor(plan, "model.norm.weight").shape.push_back(1); });
  EXPECT_PARE_ERROR(load_model(rank.path()), ErrorCode::kFormat, "model.norm.weight");
}

// Norms that LLaMA does not have, or not there, and matrices at the ends.
TEST(Load, PartsOfOtherFamiliesAreMissingOrOfTheWrongShape) {
  const std::pair<const char*, const char*> parts[] = {
      {"qwen3/gqa", "model.layers.1.self_attn.q_norm.weight"},
      {"qwen3/gqa", "model.layers.0.self_attn.k_norm.weight"},
      {"olmo2/mha", "model.layers.0.self_attn.q_norm.weight"},
      {"olmo2/mha", "model.layers.1.self_attn.k_norm.weight"},
      {"olmo2/mha", "model.layers.1.post_attention_layernorm.weight"},
      {"olmo2/mha", "model.layers.0.post_feedforward_layernorm.weight"},
      {"opt/post-norm", "model.decoder.project_in.weight"},
      {"opt/post-norm", "model.decoder.project_out.weight"},
      {"opt/post-norm", "model.decoder.layers.1.final_layer_norm.bias"},
      {"opt/post-norm", "model.decoder.embed_positions.weight"},
      {"sliced/opt-post-norm", "model.embedding_transform.weight"},
      {"sliced/qwen3-rotated", "model.layers.1.self_attn.q_norm.weight"}};
  for (const auto& part : parts) {
    const std::string golden = part.first;
    const std::string name = part.second;
    const DamagedModel without(
        [&](auto& plan) { std::erase_if(plan, [&](const TensorPlan& t) { return t.name == name; }); },
        golden);
    EXPECT_PARE_ERROR(load_model(without.path()), ErrorCode::kNotFound,
                      fmt::format("\"{}\" is missing", name));
    for (const bool last : {false, true}) {
      const DamagedModel wrong(
          [&](auto& plan) {
            auto& shape = tensor(plan, name).shape;
            (last ? shape.back() : shape.front()) += 1;
          },
          golden);
      EXPECT_PARE_ERROR(load_model(wrong.path()), ErrorCode::kFormat, name);
    }
  }
}

// A norm of all queries where that of a head belongs, and the other way round.
TEST(Load, NormsOfHeadsAndOfAllHeadsAreNotMixedUp) {
  for (const char* golden : {"qwen3/gqa", "olmo2/mha"}) {
    const int64_t width =
        load_model(golden_folder(golden)).config.head_dim * (golden == std::string_view("qwen3/gqa") ? 4 : 1);
    const DamagedModel model(
        [&](auto& plan) { tensor(plan, "model.layers.0.self_attn.q_norm.weight").shape = {width}; }, golden);
    EXPECT_PARE_ERROR(load_model(model.path()), ErrorCode::kFormat, "model.layers.0.self_attn.q_norm.weight");
  }
}

TEST(Load, ASurplusBiasIsAnError) {
  const DamagedModel model(
      [](auto& plan) {
        plan.push_back({"model.layers.0.self_attn.q_proj.bias", Encoding::kF32, {32}});
      },
      "llama/mha");
  EXPECT_PARE_ERROR(load_model(model.path()), ErrorCode::kUnsupported,
                    "model.layers.0.self_attn.q_proj.bias");
}

TEST(Load, OtherSurplusTensorsAreLeftOut) {
  const DamagedModel model([](auto& plan) {
    plan.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", Encoding::kF32, {4}});
    plan.push_back({"vision.weight", Encoding::kF32, {4, 4}});
  });
  const auto tokens = some_tokens(5, 97);
  EXPECT_EQ(largest_difference(run_model(load_model(model.path()), tokens),
                               run_model(load_model(golden_folder("llama/bias")), tokens)),
            0.0);
}

// Changes the type of one tensor in the header of a safetensors file, to one of the same size.
TEST(Load, ATensorOfAnotherTypeIsNamedWithIt) {
  const TempDir folder;
  std::filesystem::copy(
      golden_folder("llama/bf16"), folder.path(),
      std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing);
  std::string bytes = read_file(folder / "model.safetensors", 1 << 20);
  const size_t name = bytes.find("model.layers.0.mlp.gate_proj.weight");
  const size_t type = bytes.find("\"BF16\"", name);
  ASSERT_NE(type, std::string::npos);
  bytes.replace(type, 6, "\"I16\" ");
  folder.file("model.safetensors", bytes);
  EXPECT_PARE_ERROR(load_model(folder.path()), ErrorCode::kUnsupported,
                    "\"model.layers.0.mlp.gate_proj.weight\" is of type I16");
}

TEST(Load, MissingFilesAreNamed) {
  const TempDir folder;
  EXPECT_PARE_ERROR(load_model(folder / "absent"), ErrorCode::kNotFound, "absent");
  EXPECT_PARE_ERROR(load_model(folder.path()), ErrorCode::kNotFound, "config.json");
  EXPECT_PARE_ERROR(load_tokenizer(folder.path()), ErrorCode::kNotFound, "tokenizer.json");
  EXPECT_PARE_ERROR(load_model(folder.file("model.gguf", "no model")), ErrorCode::kFormat, "model.gguf");
}

TEST(CheckFinite, NamesTheTensor) {
  Model model = make_tiny_model({.biases = true});
  check_finite(model);
  auto& mlp = std::get<Mlp>(model.blocks[1].stages[1].branches[0]);
  Matrix<float> weights = decode(mlp.up.weight);
  weights(40, 31) = NAN;
  Model broken = model;
  std::get<Mlp>(broken.blocks[1].stages[1].branches[0]).up.weight =
      Weight::from_matrix(std::as_const(weights).view());
  EXPECT_PARE_ERROR(check_finite(broken), ErrorCode::kNumeric, "layer 1 up hold");
  weights(40, 31) = 1e30f;  // finite, but not as f16
  broken.blocks[1].stages[1].branches[0] = mlp;
  std::get<Mlp>(broken.blocks[1].stages[1].branches[0]).up.weight =
      Weight::from_matrix(std::as_const(weights).view(), Encoding::kF16);
  EXPECT_PARE_ERROR(check_finite(broken), ErrorCode::kNumeric, "layer 1 up hold");
  mlp.down.bias[2] = -INFINITY;
  EXPECT_PARE_ERROR(check_finite(model), ErrorCode::kNumeric, "layer 1 down bias holds");
}

TEST(ModelSize, CountsEverythingOnce) {
  const TinyModelOptions o{
      .vocab = 10, .width = 4, .layers = 2, .heads = 2, .kv_heads = 1, .head_dim = 2, .intermediate = 6};
  const int64_t block = 4 * 4 + 2 * (2 * 4) + 4 * 4 + 3 * 4 * 6;
  const ModelSize tied = model_size(make_tiny_model(o));
  EXPECT_EQ(tied.block_parameters, 2 * block);
  EXPECT_EQ(tied.parameters, 2 * block + 10 * 4 + 5 * 4);
  EXPECT_EQ(tied.bytes, 4 * tied.parameters);
  TinyModelOptions untied = o;
  untied.tied = false;
  EXPECT_EQ(model_size(make_tiny_model(untied)).parameters, tied.parameters + 10 * 4);
}

// A copy of a golden model whose config.json and tensor names are edited.
class EditedModel {
 public:
  EditedModel(const std::string& golden, const std::function<std::string(const std::string&)>& rename,
              const std::function<void(Json&)>& edit, const std::function<Weight(Weight)>& head = {}) {
    const auto source = golden_folder(golden);
    Json config = parse_json(read_file(source / "config.json", 1 << 20), "config.json");
    edit(config);
    folder_.file("config.json", config.dump());
    const SafetensorsFile file = read_safetensors(source / "model.safetensors");
    std::vector<TensorPlan> plan;
    for (TensorPlan tensor : file.order) {
      tensor.name = rename(tensor.name);
      if (!tensor.name.empty()) plan.push_back(tensor);
    }
    const TensorInfo& embedding = file.tensors.at("model.embed_tokens.weight");
    if (head) plan.push_back({"lm_head.weight", embedding.encoding, embedding.shape});
    write_model_tensors(folder_.path(), plan, [&](const TensorPlan& tensor) {
      if (head && tensor.name == "lm_head.weight") return head(as_weight(embedding));
      for (const auto& [name, info] : file.tensors)
        if (rename(name) == tensor.name) return as_weight(info);
      throw std::runtime_error("no " + tensor.name);
    });
  }
  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  TempDir folder_;
};

const auto kSameName = [](const std::string& name) { return name; };
const auto kNoEdit = [](Json&) {};

TEST(Load, AHeadOfItsOwnIsUsedThoughTheConfigTiesIt) {
  const auto doubled = [](const Weight& weight) {
    Matrix<float> values = decode(weight);
    for (int64_t i = 0; i < values.size(); ++i) values.data()[i] *= -2.0f;
    return Weight::from_matrix(std::as_const(values).view());
  };
  std::vector<std::string> said;
  set_log_sink([&](LogLevel level, std::string_view message) {
    if (level == LogLevel::kWarning) said.emplace_back(message);
  });
  const EditedModel same("llama/gqa-tied", kSameName, kNoEdit, [](Weight weight) { return weight; });
  EXPECT_TRUE(load_model(same.path()).config.tied);
  EXPECT_TRUE(said.empty());
  const EditedModel other("llama/gqa-tied", kSameName, kNoEdit, doubled);
  const Model model = load_model(other.path());
  set_log_sink({});
  ASSERT_EQ(said.size(), 1u);
  EXPECT_NE(said[0].find("\"lm_head.weight\" differs from the embedding"), std::string::npos) << said[0];
  EXPECT_FALSE(model.config.tied);
  const auto tokens = some_tokens(9, 97);
  Matrix<float> expected = run_model(load_model(same.path()), tokens);
  for (int64_t i = 0; i < expected.size(); ++i) expected.data()[i] *= -2.0f;
  EXPECT_EQ(largest_difference(run_model(model, tokens), expected), 0.0);
  const TempDir written;
  save_hf(model, written.path());
  EXPECT_EQ(largest_difference(run_model(load_model(written.path()), tokens), expected), 0.0);
}

TEST(Load, NamesWithoutTheirFirstPart) {
  const auto bare = [](const std::string& name) {
    return name.starts_with("model.") ? name.substr(6) : name;
  };
  const auto tokens = some_tokens(9, 97);
  for (const char* golden : {"llama/gqa-tied", "llama/mha", "qwen3/gqa", "olmo2/mha", "mistral/window",
                             "qwen2/tied", "phi/half-rotary"}) {
    const EditedModel model(golden, bare, kNoEdit);
    EXPECT_EQ(largest_difference(run_model(load_model(model.path()), tokens),
                                 run_model(load_model(golden_folder(golden)), tokens)),
              0.0)
        << golden;
  }
  const auto without_head = [&](const std::string& name) {
    return name == "lm_head.weight" ? std::string() : bare(name);
  };
  const EditedModel base("llama/mha", without_head, kNoEdit);
  EXPECT_PARE_ERROR(load_model(base.path()), ErrorCode::kNotFound,
                    "tensor \"lm_head.weight\" is missing, and config.json does not tie the head");
}

// torch.compile and data-parallel training put a wrapper's name before all others.
TEST(Load, NamesBehindTheNameOfAWrapper) {
  const auto tokens = some_tokens(9, 97);
  for (const std::string wrapper : {"_orig_mod.", "module.", "module._orig_mod.", "_orig_mod.module."})
    for (const bool without_first_part : {false, true}) {
      const auto wrapped = [&](const std::string& name) {
        return wrapper + (without_first_part && name.starts_with("model.") ? name.substr(6) : name);
      };
      const EditedModel model("llama/gqa-tied", wrapped, kNoEdit);
      EXPECT_EQ(largest_difference(run_model(load_model(model.path()), tokens),
                                   run_model(load_model(golden_folder("llama/gqa-tied")), tokens)),
                0.0)
          << wrapper;
    }
  const auto some_wrapped = [](const std::string& name) {
    return name == "model.embed_tokens.weight" ? name : "_orig_mod." + name;
  };
  const EditedModel mixed("llama/gqa-tied", some_wrapped, kNoEdit);
  EXPECT_PARE_ERROR(load_model(mixed.path()), ErrorCode::kNotFound, "is missing");
}

TEST(Load, EveryEndOfTheTwoConfigs) {
  const EditedModel model("llama/mha", kSameName, [](Json& json) { json["eos_token_id"] = 5; });
  EXPECT_EQ(load_model(model.path()).config.eos, (std::vector<int32_t>{5}));
  std::ofstream(model.path() / "generation_config.json") << R"({"eos_token_id": [7, 5]})";
  EXPECT_EQ(load_model(model.path()).config.eos, (std::vector<int32_t>{5, 7}));
  std::ofstream(model.path() / "generation_config.json") << R"({"eos_token_id": "x"})";
  EXPECT_PARE_ERROR(load_model(model.path()), ErrorCode::kFormat,
                    "generation_config.json: key \"eos_token_id\"");
}

TEST(Load, WhatIsNoModelIsNamed) {
  const TempDir folder;
  EXPECT_PARE_ERROR(load_model(folder.file("model.safetensors", "x")), ErrorCode::kUnsupported,
                    "give the folder");
  EXPECT_PARE_ERROR(load_model(folder.file("weights.pt", "x")), ErrorCode::kUnsupported, "PyTorch weights");
  EXPECT_PARE_ERROR(load_model(folder.file("m.zip", "x")), ErrorCode::kUnsupported, "archive");
  EXPECT_PARE_ERROR(load_model(folder.file("m.gguf", "<!DOCTYPE html><html>")), ErrorCode::kFormat,
                    "m.gguf is a page of HTML");
  const std::pair<const char*, const char*> kinds[] = {{"adapter_config.json", "is an adapter (LoRA)"},
                                                       {"consolidated.00.pth", "their maker's own format"},
                                                       {"x.gguf", "give one of them as the model"},
                                                       {"rank0.pt", "holds only PyTorch weights (rank0.pt)"}};
  for (const auto& [name, message] : kinds) {
    const TempDir other;
    other.file(name, "x");
    EXPECT_PARE_ERROR(load_model(other.path()), ErrorCode::kUnsupported, message);
    EXPECT_PARE_ERROR(load_tokenizer(other.path()), ErrorCode::kUnsupported, message);
  }
  const EditedModel mlx("llama/mha", kSameName, [](Json& json) {
    json["quantization"] = {{"group_size", 64}, {"bits", 4}};
  });
  EXPECT_PARE_ERROR(load_model(mlx.path()), ErrorCode::kUnsupported, "quantised by MLX");
}

}  // namespace
}  // namespace pare::test
