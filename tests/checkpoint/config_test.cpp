// config.json: both spellings of the rotary embedding, and clear errors for what pare does not have.
#include "model/config.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/log.h"
#include "base/mapped_file.h"
#include "checkpoint/arch/architecture.h"
#include "checkpoint/other_keys.h"
#include "runtime/rope.h"
#include "support/expect_error.h"
#include "support/run_model.h"

namespace pare::test {
namespace {

Json valid() {
  return {{"model_type", "llama"},    {"hidden_size", 32},        {"num_hidden_layers", 2},
          {"num_attention_heads", 4}, {"num_key_value_heads", 2}, {"intermediate_size", 48},
          {"vocab_size", 97},         {"hidden_act", "silu"}};
}

ModelConfig read(const Json& json) { return find_architecture(json).read_config(json); }

ModelConfig read_with(const char* key, const Json& value) {
  Json json = valid();
  json[key] = value;
  return read(json);
}

const Json kLlama3 = {{"rope_type", "llama3"},
                      {"factor", 8.0},
                      {"low_freq_factor", 1.0},
                      {"high_freq_factor", 4.0},
                      {"original_max_position_embeddings", 64}};

TEST(Config, Defaults) {
  const ModelConfig config = read(valid());
  EXPECT_EQ(config.head_dim, 8);
  EXPECT_EQ(config.norm_width, 32);
  EXPECT_EQ(config.norm_eps, 1e-6);
  EXPECT_EQ(config.rope, RopeConfig());
  EXPECT_EQ(config.bias, BiasConfig());
  EXPECT_FALSE(config.tied);
  EXPECT_TRUE(config.is_uniform());
  EXPECT_EQ(config.blocks[1], (BlockShape{32, 32, 32, 8, 48, false, false}));
  Json json = valid();
  json.erase("num_key_value_heads");
  EXPECT_EQ(read(json).kv_heads, 4);
  json.erase("model_type");
  json["architectures"] = {"LlamaForCausalLM"};
  EXPECT_EQ(read(json).heads, 4);
}

TEST(Config, RopeInBothSpellings) {
  Json older = valid();
  older["rope_theta"] = 5e5;
  older["rope_scaling"] = kLlama3;
  Json newer = valid();
  newer["rope_parameters"] = kLlama3;
  newer["rope_parameters"]["rope_theta"] = 5e5;
  const RopeConfig expected = {5e5, RopeScaling::kLlama3, 8.0, 1.0, 4.0, 64.0};
  EXPECT_EQ(read(older).rope, expected);
  EXPECT_EQ(read(newer).rope, expected);
  older["rope_scaling"] = {{"type", "linear"}, {"factor", 2.5}};
  EXPECT_EQ(read(older).rope, (RopeConfig{5e5, RopeScaling::kLinear, 2.5}));
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    EXPECT_EQ(read_with(key, nullptr).rope, RopeConfig());
    EXPECT_EQ(read_with(key, {{"rope_type", "default"}, {"rope_theta", 7.0}}).rope.theta, 7.0);
  }
}

TEST(Config, RopeByKindOfLayer) {
  const Json parameters = {{"rope_type", "default"}, {"rope_theta", 7.0}};
  EXPECT_EQ(read_with("rope_parameters", {{"full_attention", parameters}}).rope.theta, 7.0);
  Json kinds = {{"full_attention", parameters}, {"sliding_attention", parameters}};
  EXPECT_EQ(read_with("rope_parameters", kinds).rope.theta, 7.0);
  kinds["sliding_attention"]["rope_theta"] = 8.0;
  EXPECT_PARE_ERROR(read_with("rope_parameters", kinds), ErrorCode::kUnsupported,
                    "\"rope_parameters\" differs between kinds of layers");
}

TEST(Config, RopeInBothSpellingsThatDisagree) {
  const auto warned_of = [](const Json& json, const RopeConfig& expected) {
    std::string warned;
    set_log_sink([&](LogLevel, std::string_view message) { warned += message; });
    EXPECT_EQ(read(json).rope, expected);
    set_log_sink({});
    return warned;
  };
  Json json = valid();
  json["rope_theta"] = 5e5;
  json["rope_scaling"] = {{"type", "linear"}, {"factor", 2.0}};
  json["rope_parameters"] = {{"rope_type", "linear"}, {"factor", 2.0}, {"rope_theta", 5e5}};
  const RopeConfig linear = {5e5, RopeScaling::kLinear, 2.0};
  EXPECT_EQ(warned_of(json, linear), "");
  json["rope_theta"] = 7.0;
  EXPECT_EQ(warned_of(json, linear),
            "config.json: \"rope_theta\" is 7, and 500000 in \"rope_parameters\", which counts");
  json["rope_theta"] = 5e5;
  json["rope_scaling"] = {{"type", "linear"}, {"factor", 3.0}};
  EXPECT_EQ(warned_of(json, linear),
            "config.json: \"rope_scaling\" and \"rope_parameters\" scale differently: the latter counts");
  json["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 5e5}};
  EXPECT_EQ(warned_of(json, {5e5, RopeScaling::kLinear, 3.0}),
            "config.json: \"rope_scaling\" and \"rope_parameters\" scale differently: the former counts");
  json.erase("rope_parameters");
  json["rope_scaling"] = kLlama3;
  json["original_max_position_embeddings"] = 32;
  EXPECT_EQ(
      warned_of(json, {5e5, RopeScaling::kLlama3, 8.0, 1.0, 4.0, 32.0}),
      "config.json: \"original_max_position_embeddings\" is 32, which counts, and 64 in the rope object");
}

// The golden models of tests/golden/llama hold the rest against transformers' logits.
TEST(Config, ScalingOfTheRotaryEmbedding) {
  Json json = valid();
  json["max_position_embeddings"] = 400;
  const auto rope = [&](const Json& object) {
    json["rope_scaling"] = object;
    return read(json).rope;
  };
  RopeConfig yarn = rope({{"type", "yarn"}, {"original_max_position_embeddings", 100}});
  EXPECT_EQ(yarn.scaling, RopeScaling::kYarn);
  EXPECT_EQ(yarn.factor, 4.0);  // the ratio of the two lengths
  EXPECT_DOUBLE_EQ(yarn.attention_factor, 0.1 * std::log(4.0) + 1.0);
  yarn = rope({{"type", "yarn"}, {"factor", 1.0}, {"beta_fast", nullptr}, {"attention_factor", 0.5}});
  EXPECT_EQ(yarn.original_max_position, 400.0);
  EXPECT_EQ(yarn.beta_fast, 32.0);
  EXPECT_EQ(yarn.attention_factor, 0.5);
  EXPECT_EQ(rope_frequencies(yarn, 8, 400), rope_frequencies(RopeConfig(), 8, 400));  // divided by 1
  EXPECT_EQ(rope({{"type", "dynamic"}, {"factor", 2.0}}).scaling, RopeScaling::kDynamic);
  EXPECT_EQ(read(json).max_positions, 400);

  const std::vector<float> ones(4, 1.0f);
  const std::vector<float> twos(4, 2.0f);
  json["original_max_position_embeddings"] = 50;  // before that of the rope object
  const RopeConfig longrope = rope({{"type", "su"},
                                    {"short_factor", ones},
                                    {"long_factor", twos},
                                    {"original_max_position_embeddings", 7}});
  EXPECT_EQ(longrope.scaling, RopeScaling::kLongrope);
  EXPECT_EQ(longrope.original_max_position, 50.0);
  EXPECT_DOUBLE_EQ(longrope.attention_factor, std::sqrt(1.0 + std::log(8.0) / std::log(50.0)));
  const RopeConfig plain;
  EXPECT_EQ(rope_frequencies(longrope, 8, 50), rope_frequencies(plain, 8, 50));
  EXPECT_EQ(rope_frequencies(longrope, 8, 51)[0], 0.5);
  EXPECT_EQ(
      rope({{"type", "longrope"}, {"short_factor", ones}, {"long_factor", ones}, {"factor", 1.0}}).scaling,
      RopeScaling::kDivisors);
  EXPECT_PARE_ERROR(rope({{"type", "longrope"}, {"short_factor", {1.0}}, {"long_factor", twos}}),
                    ErrorCode::kFormat, "1 rope divisors for 4 pairs");
  EXPECT_PARE_ERROR(rope({{"type", "yarn"}, {"factor", -1.0}}), ErrorCode::kFormat, "factor");
}

TEST(Config, UnsupportedThingsAreNamed) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    EXPECT_PARE_ERROR(read_with(key, {{"rope_type", "mrope"}}), ErrorCode::kUnsupported, "mrope");
    EXPECT_PARE_ERROR(read_with(key, {{"rope_type", "default"}, {"partial_rotary_factor", 0.5}}),
                      ErrorCode::kUnsupported, "partial_rotary_factor");
  }
  EXPECT_PARE_ERROR(read_with("partial_rotary_factor", 0.5), ErrorCode::kUnsupported,
                    "partial_rotary_factor");
  EXPECT_PARE_ERROR(read_with("hidden_act", "gelu"), ErrorCode::kUnsupported, "gelu with a gate");
  EXPECT_PARE_ERROR(read_with("hidden_act", "mish"), ErrorCode::kUnsupported, "hidden_act \"mish\"");
  EXPECT_PARE_ERROR(read_with("model_type", "mamba"), ErrorCode::kUnsupported, "mamba");
  EXPECT_PARE_ERROR(read(Json::object()), ErrorCode::kUnsupported, "model_type");
  EXPECT_PARE_ERROR(architecture_named("mamba"), ErrorCode::kUnsupported, "mamba");
}

TEST(Config, AbsurdSizes) {
  const std::pair<const char*, Json> cases[] = {{"vocab_size", 0},
                                                {"vocab_size", int64_t{1} << 40},
                                                {"hidden_size", -32},
                                                {"hidden_size", int64_t{1} << 50},
                                                {"num_hidden_layers", 0},
                                                {"num_hidden_layers", 1000000},
                                                {"num_attention_heads", 0},
                                                {"num_attention_heads", 3},
                                                {"num_attention_heads", int64_t{1} << 40},
                                                {"num_key_value_heads", 3},
                                                {"num_key_value_heads", 8},
                                                {"head_dim", 7},
                                                {"head_dim", 0},
                                                {"intermediate_size", 0},
                                                {"intermediate_size", int64_t{1} << 60},
                                                {"max_position_embeddings", 0},
                                                {"rms_norm_eps", 0.0},
                                                {"rope_theta", -1.0},
                                                {"rope_scaling", {{"type", "linear"}, {"factor", 0.0}}},
                                                {"eos_token_id", -2},
                                                {"eos_token_id", {1, "x"}},
                                                {"hidden_size", "32"},
                                                {"vocab_size", 97.5},
                                                {"rope_scaling", "linear"}};
  for (const auto& [key, value] : cases) {
    try {
      read_with(key, value);
      ADD_FAILURE() << key << " " << value;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kFormat) << key << " " << value << ": " << error.what();
    }
  }
  for (const char* key : {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"}) {
    Json json = valid();
    json.erase(key);
    EXPECT_PARE_ERROR(read(json), ErrorCode::kFormat, key);
  }
}

TEST(Config, SlicedModelsNeedTheirObject) {
  Json json = valid();
  for (const char* kind : {"pare", "pare_llama"}) {
    json["model_type"] = kind;
    json.erase("pare");
    EXPECT_PARE_ERROR(read(json), ErrorCode::kFormat, "\"pare\" is missing");
    for (const Json& bad : {Json(3), Json{{"norm_width", 32}}}) {
      json["pare"] = bad;
      EXPECT_PARE_ERROR(read(json), ErrorCode::kFormat, "");
    }
  }
}

TEST(Config, WidthsOfSlicedBlocksMustFitTogether) {
  const Json good =
      parse_json(read_file(golden_folder("sliced/all-streams") / "config.json", 1 << 20), "config.json");
  EXPECT_FALSE(read(good).is_uniform());
  const auto with = [&](size_t layer, const char* key, const Json& value) {
    Json json = good;
    json["pare"]["layers"][layer][key] = value;
    return json;
  };
  EXPECT_PARE_ERROR(read(with(1, "input_width", 21)), ErrorCode::kFormat, "layer 1 reads a width of 21");
  EXPECT_PARE_ERROR(read(with(1, "attention_output_width", 21)), ErrorCode::kFormat, "without a skip");
  EXPECT_PARE_ERROR(read(with(0, "mlp_skip", false)), ErrorCode::kFormat, "without a skip");
  EXPECT_PARE_ERROR(read(with(0, "value_head_dim", -1)), ErrorCode::kFormat, "value_head_dim");
  Json json = good;
  json["pare"]["layers"].erase(0);
  EXPECT_PARE_ERROR(read(json), ErrorCode::kFormat, "4 objects");
  json = good;
  json["pare"]["head_transform"] = false;
  EXPECT_PARE_ERROR(read(json), ErrorCode::kFormat, "tied head");
  json = good;
  json["pare"]["layers"][0] = 5;
  EXPECT_PARE_ERROR(read(json), ErrorCode::kFormat, "pare.layers");
}

Json of_kind(const char* model_type) {
  Json json = valid();
  json["model_type"] = model_type;
  json["max_position_embeddings"] = 1000;
  return json;
}

TEST(Config, FamiliesHaveTheirOwnDefaults) {
  Json json = of_kind("mistral");
  EXPECT_EQ(read(json).architecture, "mistral");
  EXPECT_EQ(read(json).bias, BiasConfig());
  json.erase("max_position_embeddings");
  EXPECT_EQ(read(json).max_positions, 4096);  // the window
  json["num_attention_heads"] = 16;
  json.erase("num_key_value_heads");
  EXPECT_EQ(read(json).kv_heads, 8);
  json["num_key_value_heads"] = nullptr;  // as many as heads
  EXPECT_EQ(read(json).kv_heads, 16);
  json = of_kind("qwen2");
  EXPECT_EQ(read(json).architecture, "qwen2");
  EXPECT_EQ(read(json).bias, (BiasConfig{true, true, true, false, false, false, false}));
  json.erase("max_position_embeddings");
  EXPECT_EQ(read(json).max_positions, 32768);
  json.erase("model_type");
  for (const char* name : {"MistralForCausalLM", "Qwen2ForCausalLM"}) {
    json["architectures"] = {name};
    EXPECT_EQ(find_architecture(json).write_config(read(json))["architectures"][0], name);
  }
}

TEST(Config, SequencesEndWithTheSlidingWindow) {
  Json json = of_kind("mistral");
  json["sliding_window"] = 64;
  const ModelConfig config = read(json);
  EXPECT_EQ(config.max_positions, 64);
  const Json written = find_architecture(json).write_config(config);
  EXPECT_EQ(written["sliding_window"], 64);
  EXPECT_EQ(written["max_position_embeddings"], 1000);
  json["sliding_window"] = nullptr;
  EXPECT_EQ(read(json).max_positions, 1000);
  EXPECT_TRUE(find_architecture(json).write_config(read(json))["sliding_window"].is_null());
  json["sliding_window"] = 0;
  EXPECT_PARE_ERROR(read(json), ErrorCode::kFormat, "sliding_window");
  json = of_kind("qwen2");
  json["sliding_window"] = 64;
  EXPECT_EQ(read(json).max_positions, 1000);  // "use_sliding_window" is false by default
  json["use_sliding_window"] = true;
  EXPECT_EQ(read(json).max_positions, 64);
}

Json golden_config(const char* name) {
  return parse_json(read_file(golden_folder(name) / "config.json", 1 << 20), name);
}

TEST(Config, SlicedModelsOfAnyFamilyAreWrittenAlike) {
  for (const Json& json :
       {of_kind("mistral"), of_kind("qwen2"), golden_config("opt/relu"), golden_config("opt/bare-linears"),
        golden_config("opt/post-norm"), golden_config("opt/post-norm-untied"),
        golden_config("opt/no-final-norm"), golden_config("qwen3/gqa"), golden_config("qwen3/tied-bias"),
        golden_config("olmo2/mha"), golden_config("olmo2/gqa-tied"),
        golden_config("phi/quarter-rotary-gqa")}) {
    ModelConfig config = read(json);
    config.blocks[1].intermediate_size = 20;
    const Json written = writing_architecture(config).write_config(config);
    EXPECT_EQ(written["model_type"], "pare");
    const ModelConfig again = read(written);
    EXPECT_EQ(again.architecture, config.architecture);
    EXPECT_EQ(again.design, config.design);
    EXPECT_EQ(again.rotary_dim, config.rotary_dim);
    EXPECT_EQ(again.learned_positions, config.learned_positions);
    EXPECT_EQ(again.position_offset, config.position_offset);
    EXPECT_EQ(again.head_bias, config.head_bias);
    EXPECT_EQ(again.embedding_width, config.embedding_width);
    EXPECT_EQ(again.embedding_transform, config.embedding_transform);
    EXPECT_EQ(again.head_transform, config.head_transform);
    EXPECT_EQ(again.final_norm, config.final_norm);
    EXPECT_EQ(again.blocks, config.blocks);
    EXPECT_EQ(again.bias, config.bias);
  }
}

// Folders of versions before the object said more than widths and biases.
TEST(Config, OlderSlicedModelsAreLlamas) {
  Json json = golden_config("sliced/all-streams");
  const ModelConfig config = read(json);
  for (const char* key :
       {"family", "norm", "norm_place", "query_key_norm", "final_norm", "embedding_transform", "gated",
        "parallel", "rotary_dim", "learned_positions", "position_offset", "head_bias"})
    json["pare"].erase(key);
  json["model_type"] = "pare_llama";
  const ModelConfig older = read(json);
  EXPECT_EQ(older.architecture, "llama");
  EXPECT_EQ(older.design, BlockDesign());
  EXPECT_EQ(older.rotary_dim, older.head_dim);
  EXPECT_EQ(writing_architecture(older).write_config(older),
            writing_architecture(config).write_config(config));
}

Json with(Json json, const char* key, const Json& value) {
  json[key] = value;
  return json;
}

TEST(Config, OptReadsWhatItsStagesExpress) {
  const Json json = golden_config("opt/no-prefix");
  const ModelConfig config = read(json);
  EXPECT_EQ(config.design, (BlockDesign{NormKind::kLayer, ActivationFunction::kRelu, false, false}));
  EXPECT_EQ(config.max_positions, 64);
  EXPECT_EQ(config.position_offset, 2);
  EXPECT_EQ(config.rotary_dim, 0);
  EXPECT_TRUE(config.tied);
  EXPECT_TRUE(config.final_norm);
  const ModelConfig post = read(with(json, "do_layer_norm_before", false));
  EXPECT_EQ(post.design.norm_place, NormPlace::kSum);
  EXPECT_FALSE(post.final_norm);
  EXPECT_FALSE(post.embedding_transform);
  EXPECT_FALSE(read(with(json, "_remove_final_layer_norm", true)).final_norm);
  const ModelConfig narrow = read(with(json, "word_embed_proj_dim", 10));
  EXPECT_EQ(narrow.embedding_width, 10);
  EXPECT_EQ(narrow.stream_width(), config.stream_width());
  EXPECT_TRUE(narrow.embedding_transform && narrow.head_transform);
  EXPECT_EQ(narrow.head_width(), 10);
  EXPECT_EQ(read(with(json, "word_embed_proj_dim", nullptr)).embedding_width, config.embedding_width);
  EXPECT_PARE_ERROR(read(with(json, "word_embed_proj_dim", 0)), ErrorCode::kFormat, "embedding width is 0");
  EXPECT_PARE_ERROR(read(with(json, "layer_norm_elementwise_affine", false)), ErrorCode::kUnsupported,
                    "layer_norm_elementwise_affine false");
  EXPECT_PARE_ERROR(read(with(json, "activation_function", "mish")), ErrorCode::kUnsupported, "mish");
  EXPECT_PARE_ERROR(read(with(json, "num_attention_heads", 3)), ErrorCode::kFormat, "3 heads");
  EXPECT_PARE_ERROR(read(with(json, "ffn_dim", 0)), ErrorCode::kFormat, "ffn_dim");
}

TEST(Config, PhiReadsWhatItsStagesExpress) {
  const Json json = golden_config("phi/minimal-config");
  const ModelConfig config = read(json);
  EXPECT_EQ(config.design, (BlockDesign{NormKind::kLayer, ActivationFunction::kGeluTanh, false, true}));
  EXPECT_EQ(config.head_dim, 8);
  EXPECT_EQ(config.rotary_dim, 4);
  EXPECT_EQ(config.max_positions, 2048);
  EXPECT_TRUE(config.head_bias);
  EXPECT_EQ(read(with(json, "partial_rotary_factor", 0.8)).rotary_dim, 6);
  EXPECT_EQ(read(with(json, "num_key_value_heads", nullptr)).kv_heads, 3);
  EXPECT_PARE_ERROR(read(with(json, "partial_rotary_factor", 0.4)), ErrorCode::kFormat, "even number");
  EXPECT_PARE_ERROR(read(with(json, "partial_rotary_factor", 1.5)), ErrorCode::kFormat,
                    "partial_rotary_factor");
  EXPECT_PARE_ERROR(read(with(json, "qk_layernorm", true)), ErrorCode::kUnsupported, "qk_layernorm");
  EXPECT_PARE_ERROR(read(with(json, "hidden_act", "silu")), ErrorCode::kUnsupported, "silu without a gate");
}

TEST(Config, Qwen3AndOlmo2HaveTheirNorms) {
  Json json = of_kind("qwen3");
  ModelConfig config = read(json);
  EXPECT_EQ(config.architecture, "qwen3");
  EXPECT_EQ(config.head_dim, 128);  // whatever the hidden size
  EXPECT_EQ(config.design, (BlockDesign{.query_key_norm = QueryKeyNorm::kHead}));
  EXPECT_EQ(config.bias, BiasConfig());
  EXPECT_EQ(read(with(json, "attention_bias", true)).bias,
            (BiasConfig{true, true, true, true, false, false, false}));
  EXPECT_EQ(read(with(with(json, "use_sliding_window", true), "sliding_window", 64)).max_positions, 64);
  json.erase("model_type");
  json["architectures"] = {"Qwen3ForCausalLM"};
  EXPECT_EQ(read(json).architecture, "qwen3");
  json = of_kind("olmo2");
  config = read(json);
  EXPECT_EQ(config.design,
            (BlockDesign{.norm_place = NormPlace::kBranch, .query_key_norm = QueryKeyNorm::kWhole}));
  EXPECT_EQ(config.norm_eps, 1e-5);
  EXPECT_EQ(config.head_dim, 8);
  for (const char* other : {"qwen3_moe", "olmo", "olmo3", "olmoe"})
    EXPECT_PARE_ERROR(read(of_kind(other)), ErrorCode::kUnsupported, fmt::format("\"{}\"", other));
}

TEST(Config, TheNewerKeysOfSlicedModelsAreChecked) {
  const Json json = golden_config("sliced/opt-post-norm");
  const auto with_key = [&](const char* key, const Json& value) {
    Json changed = json;
    changed["pare"][key] = value;
    return changed;
  };
  const ModelConfig config = read(json);
  EXPECT_EQ(config.design.norm_place, NormPlace::kSum);
  EXPECT_EQ(config.stream_width(), 20);
  EXPECT_EQ(config.embedding_width, 12);
  EXPECT_PARE_ERROR(read(with_key("norm_place", "after")), ErrorCode::kUnsupported,
                    "\"norm_place\" is \"after\", expected input, branch, sum");
  EXPECT_PARE_ERROR(read(with_key("norm_place", 1)), ErrorCode::kFormat, "norm_place");
  EXPECT_PARE_ERROR(read(with_key("query_key_norm", "heads")), ErrorCode::kUnsupported, "none, head, whole");
  EXPECT_PARE_ERROR(read(with_key("final_norm", "no")), ErrorCode::kFormat, "final_norm");
  EXPECT_PARE_ERROR(read(with_key("embedding_transform", false)), ErrorCode::kFormat,
                    "layer 0 reads a width of 20");
  EXPECT_PARE_ERROR(read(with_key("head_transform", false)), ErrorCode::kFormat, "a tied head");
  EXPECT_PARE_ERROR(read(with_key("embedding_width", -1)), ErrorCode::kFormat, "embedding width is -1");
  EXPECT_PARE_ERROR(read(with_key("parallel", true)), ErrorCode::kUnsupported, "parallel block");
}

TEST(Config, LayerNormsAndParallelBlocksHaveNoSkips) {
  ModelConfig config = read(golden_config("phi/half-rotary"));
  config.blocks[0].attention_skip = true;
  EXPECT_PARE_ERROR(validate(config), ErrorCode::kFormat, "layer norms");
  config.design.norm = NormKind::kRms;
  validate(config);
  config.blocks[0].mlp_skip = true;
  EXPECT_PARE_ERROR(validate(config), ErrorCode::kFormat, "parallel block");
}

TEST(Config, DivisorsOfTheRotaryEmbedding) {
  const Json longrope = {{"rope_type", "longrope"},
                         {"short_factor", {1, 2, 3, 4}},
                         {"long_factor", {1, 2, 3, 4}},
                         {"attention_factor", 1.0}};
  EXPECT_EQ(read_with("rope_scaling", longrope).rope.divisors, (std::vector<float>{1, 2, 3, 4}));
  const auto with = [&](const char* key, const Json& value) {
    Json changed = longrope;
    changed[key] = value;
    return changed;
  };
  EXPECT_EQ(read_with("rope_scaling", longrope).rope.scaling, RopeScaling::kDivisors);
  EXPECT_EQ(read_with("rope_scaling", with("long_factor", {1, 2, 3, 5})).rope.scaling,
            RopeScaling::kLongrope);
  EXPECT_EQ(read_with("rope_scaling", with("attention_factor", 1.2)).rope.scaling, RopeScaling::kLongrope);
  EXPECT_PARE_ERROR(read_with("rope_scaling", with("short_factor", {"x"})), ErrorCode::kFormat,
                    "short_factor");
  const Json three = {1, 2, 3};
  Json changed = with("long_factor", three);
  changed["short_factor"] = three;
  EXPECT_PARE_ERROR(read_with("rope_scaling", changed), ErrorCode::kFormat, "3 rope divisors for 4 pairs");
  changed["long_factor"] = changed["short_factor"] = {1, 2, 0, 4};
  EXPECT_PARE_ERROR(read_with("rope_scaling", changed), ErrorCode::kFormat, "divisor");
}

TEST(Config, WhatIsWrittenIsReadBack) {
  for (const char* name : {"llama/mha",
                           "llama/gqa-tied",
                           "llama/bias",
                           "llama/rope-linear",
                           "llama/rope-llama3",
                           "mistral/window",
                           "mistral/no-window",
                           "qwen2/gqa",
                           "qwen3/gqa",
                           "qwen3/tied-bias",
                           "olmo2/mha",
                           "olmo2/gqa-tied",
                           "opt/relu",
                           "opt/bare-linears",
                           "opt/untied-gelu",
                           "opt/post-norm",
                           "opt/post-norm-untied",
                           "opt/no-final-norm",
                           "sliced/opt-post-norm",
                           "phi/half-rotary",
                           "phi/quarter-rotary-gqa",
                           "sliced/all-streams",
                           "sliced/global-rotation",
                           "sliced/rope-yarn",
                           "sliced/rope-longrope",
                           "sliced/rope-dynamic"}) {
    const auto path = golden_folder(name) / "config.json";
    const ModelConfig config = read(parse_json(read_file(path, 1 << 20), name));
    const Json written = writing_architecture(config).write_config(config);
    EXPECT_EQ(writing_architecture(config).write_config(read(written)), written) << name;
    EXPECT_EQ(written["model_type"], config.is_uniform() ? config.architecture : "pare") << name;
  }
}

// A key that is not known as pare's own would come into an output from its input.
TEST(Config, EveryWrittenKeyIsKnownAsPareSOwn) {
  for (const char* golden : {"llama/bias", "llama/rope-longrope", "mistral/window", "qwen2/gqa", "qwen3/gqa",
                             "olmo2/mha", "opt/post-norm", "phi/half-rotary", "sliced/all-streams"}) {
    const auto path = golden_folder(golden) / "config.json";
    const Json json = parse_json(read_file(path, 1 << 20), path.string());
    const Architecture& family = find_architecture(json);
    const ModelConfig config = family.read_config(json);
    const Json written = writing_architecture(config).write_config(config);
    for (const auto& [key, value] : written.items())
      EXPECT_TRUE(is_own_config_key(key) || key == "pad_token_id") << golden << ": " << key;
  }
}

TEST(Config, OtherKeysGoOn) {
  const Json json = {{"pad_token_id", 7},  {"my_note", {{"a", 1}}}, {"hidden_size", 8},
                     {"torch_dtype", "f"}, {"auto_map", {}},        {"_name_or_path", "/home/me"}};
  const std::string others = other_keys_of(json);
  EXPECT_EQ(parse_json(others, "t"), (Json{{"pad_token_id", 7}, {"my_note", {{"a", 1}}}}));
  Json written = {{"hidden_size", 4}, {"pad_token_id", 1}};
  add_other_keys(others, written);
  EXPECT_EQ(written, (Json{{"hidden_size", 4}, {"pad_token_id", 7}, {"my_note", {{"a", 1}}}}));
  EXPECT_EQ(other_keys_of({{"hidden_size", 4}}), "");
}

}  // namespace
}  // namespace pare::test
