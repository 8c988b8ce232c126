// `pare`: models that no plain checkpoint of their family expresses, above all sliced ones. The keys and
// names of LLaMA, and an object "pare" that says what the blocks are made of and how wide they are
// (docs/file_format.md).
#include "checkpoint/arch/config_keys.h"
#include "checkpoint/arch/decoder.h"
#include "io/checks.h"

namespace pare {
namespace {

using namespace config_keys;

constexpr const char* kName = "pare";
constexpr const char* kClass = "PareForCausalLM";
constexpr const char* kOlderName = "pare_llama";  // LLaMA's design only
constexpr const char* kOlderClass = "PareLlamaForCausalLM";
// Names in the order of NormKind, NormPlace and QueryKeyNorm.
constexpr std::string_view kNorms[] = {"rms", "layer"};
constexpr std::string_view kNormPlaces[] = {"input", "branch", "sum"};
constexpr std::string_view kQueryKeyNorms[] = {"none", "head", "whole"};

bool matches(const Json& config) {
  return decoder::is_kind(config, kName, kClass) || decoder::is_kind(config, kOlderName, kOlderClass);
}

// Returns the enumerator whose number is the place of the text in `names`; without the key, the first.
template <typename Enum>
Enum read_enum(const Json& pare, const char* key, std::span<const std::string_view> names) {
  const auto name = json_find<std::string>(pare, key, kWhat).value_or(std::string(names.front()));
  for (size_t i = 0; i < names.size(); ++i)
    if (name == names[i]) return static_cast<Enum>(i);
  fail(ErrorCode::kUnsupported, "{}: \"pare\".\"{}\" is \"{}\", expected {}", kWhat, key, printable(name),
       fmt::join(names, ", "));
}

template <typename Enum>
std::string_view enum_name(Enum value, std::span<const std::string_view> names) {
  return names[static_cast<size_t>(value)];
}

void read_layers(const Json& pare, ModelConfig& config) {
  const auto layers = pare.find("layers");
  if (layers == pare.end() || !layers->is_array() || layers->size() != config.blocks.size())
    fail(ErrorCode::kFormat, "{}: \"pare\".\"layers\" must be an array of {} objects", kWhat,
         config.blocks.size());
  for (size_t i = 0; i < config.blocks.size(); ++i) {
    const Json& b = (*layers)[i];
    require_object(b, "pare.layers");
    BlockShape& shape = config.blocks[i];
    shape.input_width = get_int(b, "input_width");
    shape.attention_output_width = get_int(b, "attention_output_width");
    shape.output_width = get_int(b, "output_width");
    shape.value_head_dim = get_int(b, "value_head_dim");
    shape.intermediate_size = get_int(b, "intermediate_size");
    shape.attention_skip = get_bool(b, "attention_skip", false);
    shape.mlp_skip = get_bool(b, "mlp_skip", false);
  }
}

ModelConfig read_config(const Json& json) {
  const auto it = json.find("pare");
  if (it == json.end()) fail(ErrorCode::kFormat, "{}: \"pare\" is missing", kWhat);
  const Json& pare = *it;
  require_object(pare, "pare");
  const auto family = json_find<std::string>(pare, "family", kWhat).value_or("llama");
  ModelConfig config = decoder::read_config(json, architecture_named(family).name, {});
  config.design.norm = read_enum<NormKind>(pare, "norm", kNorms);
  config.design.norm_place = read_enum<NormPlace>(pare, "norm_place", kNormPlaces);
  config.design.query_key_norm = read_enum<QueryKeyNorm>(pare, "query_key_norm", kQueryKeyNorms);
  config.design.gated = get_bool(pare, "gated", true);
  config.design.parallel = get_bool(pare, "parallel", false);
  config.norm_width = get_int(pare, "norm_width");
  config.embedding_width = get_int(pare, "embedding_width");
  config.embedding_transform = get_bool(pare, "embedding_transform", false);
  config.final_norm = get_bool(pare, "final_norm", true);
  config.rotary_dim = get_int(pare, "rotary_dim", config.head_dim);
  config.learned_positions = get_bool(pare, "learned_positions", false);
  config.position_offset = get_int(pare, "position_offset", 0);
  config.head_transform = get_bool(pare, "head_transform", false);
  config.head_bias = get_bool(pare, "head_bias", false);
  if (const int64_t window = get_int(pare, "sliding_window", 0); window > 0) {
    config.max_positions = get_int(pare, "trained_positions", config.max_positions);
    decoder::limit_to_window(window, config);
  }
  read_layers(pare, config);
  if (const auto biases = pare.find("biases"); biases != pare.end()) {
    require_object(*biases, "pare.biases");
    config.bias = {get_bool(*biases, "q", false),    get_bool(*biases, "k", false),
                   get_bool(*biases, "v", false),    get_bool(*biases, "o", false),
                   get_bool(*biases, "gate", false), get_bool(*biases, "up", false),
                   get_bool(*biases, "down", false)};
  }
  validate(config);
  return config;
}

bool is_plain(const ModelConfig&) { return false; }

Json layers_json(const ModelConfig& config) {
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
  return layers;
}

Json write_config(const ModelConfig& config) {
  Json json = decoder::write_config(config, kName, kClass);
  json["auto_map"] = {{"AutoConfig", "configuration_pare.PareConfig"},
                      {"AutoModel", "modeling_pare.PareModel"},
                      {"AutoModelForCausalLM", "modeling_pare.PareForCausalLM"}};
  const BiasConfig& bias = config.bias;
  json["pare"] = {{"family", config.architecture},
                  {"norm", enum_name(config.design.norm, kNorms)},
                  {"norm_place", enum_name(config.design.norm_place, kNormPlaces)},
                  {"query_key_norm", enum_name(config.design.query_key_norm, kQueryKeyNorms)},
                  {"norm_width", config.norm_width},
                  {"gated", config.design.gated},
                  {"parallel", config.design.parallel},
                  {"rotary_dim", config.rotary_dim},
                  {"learned_positions", config.learned_positions},
                  {"position_offset", config.position_offset},
                  {"embedding_width", config.embedding_width},
                  {"embedding_transform", config.embedding_transform},
                  {"final_norm", config.final_norm},
                  {"head_transform", config.head_transform},
                  {"head_bias", config.head_bias},
                  {"biases",
                   {{"q", bias.q},
                    {"k", bias.k},
                    {"v", bias.v},
                    {"o", bias.o},
                    {"gate", bias.gate},
                    {"up", bias.up},
                    {"down", bias.down}}},
                  {"layers", layers_json(config)}};
  if (config.sliding_window > 0) json["pare"]["sliding_window"] = config.sliding_window;
  if (config.trained_positions > 0) json["pare"]["trained_positions"] = config.trained_positions;
  return json;
}

}  // namespace

const Architecture& pare_architecture() {
  static const Architecture instance = {
      .name = kName,
      .gguf = {},
      .matches = matches,
      .read_config = read_config,
      .read_gguf = nullptr,
      .write_config = write_config,
      .write_gguf = nullptr,
      .extra_gguf_tensors = nullptr,
      .is_plain = is_plain,
      .gguf_interleaved_rope = false,
      .names = decoder::kNames,
  };
  return instance;
}

}  // namespace pare
