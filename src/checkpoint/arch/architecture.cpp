#include "checkpoint/arch/architecture.h"

#include <algorithm>

#include "model/visit.h"

namespace pare {
namespace {

// Every family pare knows: adding one is a file beside this and a line here.
const Architecture* const kArchitectures[] = {
    &llama_architecture(), &mistral_architecture(), &qwen2_architecture(),
    &qwen3_architecture(), &olmo2_architecture(),   &opt_architecture(),
    &phi_architecture(),   &deci_architecture(),    &pare_architecture()};

const RoleName& role_entry(const Architecture& architecture, Role role) {
  for (const RoleName& entry : architecture.names)
    if (entry.role == role) return entry;
  fail(ErrorCode::kInternal, "architecture {} has no tensor for role {}", architecture.name, role_name(role));
}

// Says why llama.cpp cannot run a model that is no plain one of its family.
std::string obstacle_to_gguf(const ModelConfig& config) {
  const bool residual = std::any_of(config.blocks.begin(), config.blocks.end(), [&](const BlockShape& b) {
    return b.attention_skip || b.mlp_skip || b.input_width != config.stream_width();
  });
  if (residual || config.head_transform || config.embedding_transform)
    return "the residual stream passes matrices, which llama.cpp does not know; a slice of the hidden "
           "streams (the default) or one of `rotation global` and `untie` can be written";
  const bool narrow = std::any_of(config.blocks.begin(), config.blocks.end(), [&](const BlockShape& b) {
    return b.value_head_dim != 0 && b.value_head_dim != config.head_dim;
  });
  if (narrow) return "its values are not as wide as its keys";
  return fmt::format(
      "llama.cpp has layers of different widths for models of LLaMA's design only, not for {}; slicing "
      "with `uniform` gives all layers one width",
      config.architecture);
}

std::string full_name(std::string_view pattern, const TensorPlace& place) {
  std::string name(pattern);
  if (const size_t hole = name.find("{}"); hole != std::string::npos)
    name.replace(hole, 2, std::to_string(place.block));
  return name + (place.bias ? ".bias" : ".weight");
}

}  // namespace

const Architecture* architecture_of(const Json& config) {
  for (const Architecture* architecture : kArchitectures)
    if (architecture->matches(config)) return architecture;
  return nullptr;
}

const Architecture& find_architecture(const Json& config) {
  if (const Architecture* architecture = architecture_of(config)) return *architecture;
  const auto type = json_find<std::string>(config, "model_type", "config.json");
  fail(ErrorCode::kUnsupported, "config.json: model_type \"{}\" is not supported",
       type.value_or("(missing)"));
}

const Architecture& architecture_named(std::string_view name) {
  for (const Architecture* architecture : kArchitectures)
    if (architecture->name == name && architecture->read_config != nullptr) return *architecture;
  fail(ErrorCode::kUnsupported, "architecture \"{}\" is not supported", name);
}

const Architecture& gguf_architecture(std::string_view name) {
  for (const Architecture* architecture : kArchitectures)
    if (architecture->gguf == name && architecture->read_gguf != nullptr) return *architecture;
  fail(ErrorCode::kUnsupported, "GGUF architecture \"{}\" is not supported", name);
}

const Architecture& writing_architecture(const ModelConfig& config) {
  const Architecture& family = architecture_named(config.architecture);
  if (!family.is_plain(config)) return pare_architecture();
  const Architecture* other = family.stand_in ? family.stand_in(config) : nullptr;
  return other ? *other : family;
}

const Architecture& gguf_writing_architecture(const ModelConfig& config) {
  const Architecture& family = architecture_named(config.architecture);
  if (family.write_gguf == nullptr)
    fail(ErrorCode::kUnsupported, "pare writes no GGUF files of architecture {}, only Hugging Face folders",
         family.name);
  if (family.is_plain(config)) return family;
  if (deci_architecture().is_plain(config)) return deci_architecture();
  const std::string cause = obstacle_to_gguf(config);
  fail(ErrorCode::kUnsupported, "a GGUF file cannot hold this model: {}", cause);
}

std::string hf_name(const Architecture& architecture, const TensorPlace& place) {
  return full_name(role_entry(architecture, place.role).hf, place);
}

std::string gguf_name(const Architecture& architecture, const TensorPlace& place) {
  const RoleName& entry = role_entry(architecture, place.role);
  if (entry.gguf.empty())
    fail(ErrorCode::kUnsupported, "GGUF has no tensor for {} in architecture {}", role_name(place.role),
         architecture.name);
  return full_name(entry.gguf, place);
}

}  // namespace pare
