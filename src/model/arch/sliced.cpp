#include "model/arch/sliced_config.h"

#include <algorithm>

#include "model/arch/config_keys.h"
#include "model/arch/decoder.h"

namespace pare::sliced {
namespace {

using namespace config_keys;

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

}  // namespace

void read_blocks(const Json& pare, int64_t layers, ModelConfig& config) {
  require_object(pare, "pare");
  config.norm_width = get_int(pare, "norm_width");
  config.embedding_width = get_int(pare, "embedding_width");
  config.head_transform = get_bool(pare, "head_transform", false);
  const auto blocks = pare.find("layers");
  if (blocks == pare.end() || !blocks->is_array() || static_cast<int64_t>(blocks->size()) != layers)
    fail(ErrorCode::kFormat, "{}: \"pare\".\"layers\" must be an array of {} objects", kWhat, layers);
  config.blocks.clear();
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

Json write_config(const ModelConfig& config) {
  Json json = decoder::write_config(config, kModelType, kClass);
  json["auto_map"] = {{"AutoConfig", "configuration_pare.PareLlamaConfig"},
                      {"AutoModel", "modeling_pare.PareLlamaModel"},
                      {"AutoModelForCausalLM", "modeling_pare.PareLlamaForCausalLM"}};
  const BiasConfig& bias = config.bias;
  json["attention_bias"] = bias.q;
  json["mlp_bias"] = bias.gate;
  json["pare"] = {{"norm_width", config.norm_width},
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
                  {"layers", layers_json(config)}};
  return json;
}

}  // namespace pare::sliced
