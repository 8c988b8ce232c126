// config.json of LLaMA-type models, plain ("llama") and sliced ("pare_llama", see docs/file_format.md).
#include "model/arch/llama_config.h"

#include "base/error.h"

namespace pare {
namespace {

constexpr std::string_view kWhat = "config.json";

int64_t get_int(const Json& object, const char* key) { return json_get<int64_t>(object, key, kWhat); }
int64_t get_int(const Json& object, const char* key, int64_t fallback) {
  return json_find<int64_t>(object, key, kWhat).value_or(fallback);
}
double get_number(const Json& object, const char* key, double fallback) {
  return json_find<double>(object, key, kWhat).value_or(fallback);
}
bool get_bool(const Json& object, const char* key, bool fallback) {
  return json_find<bool>(object, key, kWhat).value_or(fallback);
}

void require_object(const Json& value, const char* key) {
  if (!value.is_object())
    fail(ErrorCode::kFormat, "{}: \"{}\" is {}, expected an object", kWhat, key, value.type_name());
}

void reject_partial_rope(const Json& object) {
  const double share = get_number(object, "partial_rotary_factor", 1.0);
  if (share != 1.0)
    fail(ErrorCode::kUnsupported, "{}: partial_rotary_factor {} is not supported", kWhat, share);
}

// Scaling of one rope object: `rope_scaling` (older spelling) or `rope_parameters` (newer).
void read_rope_scaling(const Json& object, RopeConfig& rope) {
  auto type = json_find<std::string>(object, "rope_type", kWhat);
  if (!type) type = json_find<std::string>(object, "type", kWhat);
  if (!type || *type == "default") return;
  if (*type == "linear") {
    rope.scaling = RopeScaling::kLinear;
  } else if (*type == "llama3") {
    rope.scaling = RopeScaling::kLlama3;
    rope.low_freq_factor = json_get<double>(object, "low_freq_factor", kWhat);
    rope.high_freq_factor = json_get<double>(object, "high_freq_factor", kWhat);
    rope.original_max_position = json_get<double>(object, "original_max_position_embeddings", kWhat);
  } else {
    fail(ErrorCode::kUnsupported, "{}: rope scaling \"{}\" is not supported (only linear and llama3)", kWhat,
         *type);
  }
  rope.factor = json_get<double>(object, "factor", kWhat);
}

RopeConfig read_rope(const Json& config) {
  RopeConfig rope;
  rope.theta = get_number(config, "rope_theta", rope.theta);
  reject_partial_rope(config);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto it = config.find(key);
    if (it == config.end() || it->is_null()) continue;
    require_object(*it, key);
    reject_partial_rope(*it);
    rope.theta = get_number(*it, "rope_theta", rope.theta);
    read_rope_scaling(*it, rope);
  }
  return rope;
}

std::vector<int32_t> read_token_ids(const Json& config, const char* key) {
  std::vector<int32_t> ids;
  const auto it = config.find(key);
  if (it == config.end() || it->is_null()) return ids;
  const auto add = [&](const Json& value) {
    if (!value.is_number_integer() || value.get<int64_t>() < 0 || value.get<int64_t>() > INT32_MAX)
      fail(ErrorCode::kFormat, "{}: key \"{}\" has an unexpected value {}", kWhat, key,
           value.dump().substr(0, 80));
    ids.push_back(value.get<int32_t>());
  };
  if (it->is_array()) {
    for (const Json& value : *it) add(value);
  } else {
    add(*it);
  }
  return ids;
}

// The `pare` object of a sliced model: widths of every block.
void read_sliced_shapes(const Json& pare, int64_t layers, ModelConfig& config) {
  require_object(pare, "pare");
  config.norm_width = get_int(pare, "norm_width");
  config.embedding_width = get_int(pare, "embedding_width");
  config.head_transform = get_bool(pare, "head_transform", false);
  const auto blocks = pare.find("layers");
  if (blocks == pare.end() || !blocks->is_array() || static_cast<int64_t>(blocks->size()) != layers)
    fail(ErrorCode::kFormat, "{}: \"pare\".\"layers\" must be an array of {} objects", kWhat, layers);
  for (const Json& b : *blocks) {
    require_object(b, "pare.layers");
    BlockShape shape;
    shape.input_width = get_int(b, "input_width");
    shape.attention_output_width = get_int(b, "attention_output_width");
    shape.output_width = get_int(b, "output_width");
    shape.value_head_dim = get_int(b, "value_head_dim");
    shape.intermediate_size = get_int(b, "intermediate_size");
    shape.attention_skip = get_bool(b, "attention_skip", false);
    shape.mlp_skip = get_bool(b, "mlp_skip", false);
    config.blocks.push_back(shape);
  }
  if (const auto biases = pare.find("biases"); biases != pare.end()) {
    require_object(*biases, "pare.biases");
    config.bias = {get_bool(*biases, "q", false),    get_bool(*biases, "k", false),
                   get_bool(*biases, "v", false),    get_bool(*biases, "o", false),
                   get_bool(*biases, "gate", false), get_bool(*biases, "up", false),
                   get_bool(*biases, "down", false)};
  }
}

Json rope_json(const RopeConfig& rope) {
  Json json = {{"rope_type", rope.scaling == RopeScaling::kLinear ? "linear" : "llama3"},
               {"factor", rope.factor}};
  if (rope.scaling == RopeScaling::kLlama3) {
    json["low_freq_factor"] = rope.low_freq_factor;
    json["high_freq_factor"] = rope.high_freq_factor;
    json["original_max_position_embeddings"] = static_cast<int64_t>(rope.original_max_position);
  }
  return json;
}

Json sliced_shapes_json(const ModelConfig& config) {
  Json layers = Json::array();
  for (const BlockShape& b : config.blocks) {
    layers.push_back({{"input_width", b.input_width},
                      {"attention_output_width", b.attention_output_width},
                      {"output_width", b.output_width},
                      {"value_head_dim", b.value_head_dim},
                      {"intermediate_size", b.intermediate_size},
                      {"attention_skip", b.attention_skip},
                      {"mlp_skip", b.mlp_skip}});
  }
  const BiasConfig& bias = config.bias;
  return {{"norm_width", config.norm_width},
          {"embedding_width", config.embedding_width},
          {"head_transform", config.head_transform},
          {"biases",
           {{"q", bias.q},
            {"k", bias.k},
            {"v", bias.v},
            {"o", bias.o},
            {"gate", bias.gate},
            {"up", bias.up},
            {"down", bias.down}}},
          {"layers", layers}};
}

}  // namespace

bool llama_matches(const Json& config) {
  const auto type = json_find<std::string>(config, "model_type", kWhat);
  if (type) return *type == "llama" || *type == "pare_llama";
  const auto classes = config.find("architectures");
  return classes != config.end() && classes->is_array() && !classes->empty() &&
         classes->front() == "LlamaForCausalLM";
}

ModelConfig read_llama_config(const Json& json) {
  ModelConfig config;
  config.architecture = "llama";
  const auto activation = json_find<std::string>(json, "hidden_act", kWhat).value_or("silu");
  if (activation != "silu")
    fail(ErrorCode::kUnsupported, "{}: hidden_act \"{}\" is not supported for this architecture", kWhat,
         activation);
  const int64_t hidden = get_int(json, "hidden_size");
  const int64_t layers = get_int(json, "num_hidden_layers");
  if (layers < 1 || layers > 4096) fail(ErrorCode::kFormat, "{}: num_hidden_layers is {}", kWhat, layers);
  config.vocab_size = get_int(json, "vocab_size");
  config.heads = get_int(json, "num_attention_heads");
  if (config.heads < 1) fail(ErrorCode::kFormat, "{}: num_attention_heads is {}", kWhat, config.heads);
  config.kv_heads = get_int(json, "num_key_value_heads", config.heads);
  config.head_dim = get_int(json, "head_dim", hidden / config.heads);
  config.max_positions = get_int(json, "max_position_embeddings", 2048);
  config.norm_eps = get_number(json, "rms_norm_eps", 1e-6);
  config.rope = read_rope(json);
  config.tied = get_bool(json, "tie_word_embeddings", false);
  if (const auto bos = read_token_ids(json, "bos_token_id"); !bos.empty()) config.bos = bos.front();
  config.eos = read_token_ids(json, "eos_token_id");
  if (const auto pare = json.find("pare"); pare != json.end()) {
    read_sliced_shapes(*pare, layers, config);
  } else {
    config.norm_width = hidden;
    config.embedding_width = hidden;
    const BlockShape shape = {hidden, hidden, hidden, config.head_dim, get_int(json, "intermediate_size"),
                              false,  false};
    if (shape.intermediate_size < 1)
      fail(ErrorCode::kFormat, "{}: intermediate_size is {}", kWhat, shape.intermediate_size);
    config.blocks.assign(static_cast<size_t>(layers), shape);
    const bool attention = get_bool(json, "attention_bias", false);
    const bool mlp = get_bool(json, "mlp_bias", false);
    config.bias = {attention, attention, attention, attention, mlp, mlp, mlp};
  }
  validate(config);
  return config;
}

bool llama_is_plain(const ModelConfig& config) {
  const BiasConfig& b = config.bias;
  return config.is_uniform() && config.norm_width == config.embedding_width && b.q == b.k && b.q == b.v &&
         b.q == b.o && b.gate == b.up && b.gate == b.down;
}

Json write_llama_config(const ModelConfig& config) {
  const bool plain = llama_is_plain(config);
  Json json;
  json["architectures"] = Json::array({plain ? "LlamaForCausalLM" : "PareLlamaForCausalLM"});
  json["model_type"] = plain ? "llama" : "pare_llama";
  if (!plain) {
    json["auto_map"] = {{"AutoConfig", "configuration_pare.PareLlamaConfig"},
                        {"AutoModel", "modeling_pare.PareLlamaModel"},
                        {"AutoModelForCausalLM", "modeling_pare.PareLlamaForCausalLM"}};
  }
  json["hidden_size"] = config.embedding_width;
  int64_t intermediate = 0;
  for (const BlockShape& b : config.blocks) intermediate = std::max(intermediate, b.intermediate_size);
  json["intermediate_size"] = intermediate;
  json["num_hidden_layers"] = config.blocks.size();
  json["num_attention_heads"] = config.heads;
  json["num_key_value_heads"] = config.kv_heads;
  json["head_dim"] = config.head_dim;
  json["vocab_size"] = config.vocab_size;
  json["max_position_embeddings"] = config.max_positions;
  json["hidden_act"] = "silu";
  json["rms_norm_eps"] = config.norm_eps;
  json["rope_theta"] = config.rope.theta;
  if (config.rope.scaling == RopeScaling::kNone) {
    json["rope_scaling"] = nullptr;
  } else {
    json["rope_scaling"] = rope_json(config.rope);
  }
  json["attention_bias"] = config.bias.q;
  json["mlp_bias"] = config.bias.gate;
  json["tie_word_embeddings"] = config.tied;
  if (config.bos) json["bos_token_id"] = *config.bos;
  if (config.eos.size() == 1) json["eos_token_id"] = config.eos.front();
  if (config.eos.size() > 1) json["eos_token_id"] = config.eos;
  if (!plain) json["pare"] = sliced_shapes_json(config);
  return json;
}

}  // namespace pare
