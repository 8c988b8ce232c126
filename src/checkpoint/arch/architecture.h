// Differences between families of models: how their config is read and what their tensors are
// called.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "io/gguf.h"
#include "model/config.h"
#include "model/visit.h"

namespace pare {

// Tensor names of a role, without ".weight" / ".bias"; "{}" stands for the layer.
struct RoleName {
  Role role;
  std::string_view hf;
  std::string_view gguf;  // empty: GGUF has no such tensor
};

struct Architecture {
  std::string_view name;                           // ModelConfig::architecture
  std::string_view gguf;                           // GGUF's general.architecture
  bool (*matches)(const Json& config);             // is this config.json one of the family
  ModelConfig (*read_config)(const Json& config);  // null: a name of GGUF files only, no ModelConfig has it
  ModelConfig (*read_gguf)(const GgufFile& file);  // null: such files are read as the family called `gguf`
  // Writes config.json of a plain model. The `pare` architecture writes any model.
  Json (*write_config)(const ModelConfig& config);
  // Writes the family's own metadata keys and further tensors (name, values) of a plain model; null: pare has
  // no GGUF files of the family.
  std::vector<GgufEntry> (*write_gguf)(const ModelConfig& config);
  std::vector<std::pair<std::string, std::vector<float>>> (*extra_gguf_tensors)(const ModelConfig& config);
  // Returns whether an unmodified checkpoint of the family can express these shapes.
  bool (*is_plain)(const ModelConfig& config);
  // GGUF stores query and key rows in the interleaved rotary order (llama.cpp's conversion permutes them).
  bool gguf_interleaved_rope;
  std::span<const RoleName> names;
  std::string_view optional_prefix = {};  // prefix of HF names, which a checkpoint may leave out of all
  // Returns another family that computes the same, where transformers loads a plain model of these sizes as
  // that one only; null: there is no such case.
  const Architecture* (*stand_in)(const ModelConfig& config) = nullptr;
};

const Architecture& llama_architecture();
const Architecture& mistral_architecture();
const Architecture& qwen2_architecture();
const Architecture& qwen3_architecture();
const Architecture& olmo2_architecture();
const Architecture& opt_architecture();
const Architecture& phi_architecture();
// Returns llama.cpp's `deci`, a GGUF file of layers that differ: read as a LLaMA model.
const Architecture& deci_architecture();
// Returns `pare`: models that no plain checkpoint of their family expresses.
const Architecture& pare_architecture();

// Returns the family of a config.json; null when it is of none.
const Architecture* architecture_of(const Json& config);
// Finds a family by config.json, by ModelConfig::architecture, by GGUF's general.architecture. Throws
// kUnsupported naming the architecture that pare does not have.
const Architecture& find_architecture(const Json& config);
const Architecture& architecture_named(std::string_view name);
const Architecture& gguf_architecture(std::string_view name);
// Family that a model is written as: its own, or its stand-in, when that can express it, else `pare`.
const Architecture& writing_architecture(const ModelConfig& config);
// Family that a GGUF file is written as: its own, else `deci` when that can express it. Throws kUnsupported
// naming what llama.cpp cannot hold.
const Architecture& gguf_writing_architecture(const ModelConfig& config);

// Full tensor names, e.g. hf_name(llama, {Role::kQuery, 3, false}) =
// "model.layers.3.self_attn.q_proj.weight".
std::string hf_name(const Architecture& architecture, const TensorPlace& place);
std::string gguf_name(const Architecture& architecture, const TensorPlace& place);

}  // namespace pare
