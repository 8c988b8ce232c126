// What a page says about one model: from its files, and from pare.json where there is one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "checkpoint/recipe_text.h"
#include "model/storage_facts.h"

namespace pare {

// An entry of pare.json about a linear, stream or matrix, by its place in the model.
struct PlacedError {
  std::string name;               // "layers.3.down", "head"
  int64_t block = -1;             // −1 outside blocks
  std::optional<Role> role = {};  // none: the name is no role
  double amount = 0.0;
  std::string note = {};  // said before the amount
};

// Errors that a pass has left, ‖Y − Y'‖² / ‖Y‖² on the calibration tokens; or, of "formats", what a budget
// foresaw: nats a token that the format of a matrix moves the predictions by.
struct ErrorList {
  std::string kind;  // key in pare.json: "errors", "sparsity", "quantization", "formats"
  std::vector<PlacedError> entries;
};

struct StreamSpectrum {
  std::string name;
  int64_t block = -1;
  std::optional<Role> role = {};
  int64_t width_before = 0;
  int64_t width_after = 0;
  std::vector<double> energies;  // relative to the largest, at equal distances of rank
};

struct ModelFacts {
  std::string path;
  std::string name;
  ModelConfig config;
  ModelSize size;
  std::vector<MatrixFacts> matrices;
  std::vector<RoleSize> roles;
  bool has_manifest = false;  // pare has made it of another model; below is what pare.json says
  std::vector<RecipePass> passes = {};
  std::vector<std::pair<std::string, std::string>> calibration = {};
  std::string seed = {};
  std::optional<int64_t> bytes_before = {};
  std::optional<int64_t> parameters_before = {};
  std::vector<RoleSize> roles_before = {};  // only bytes; empty: not known
  std::vector<ErrorList> errors = {};
  std::vector<StreamSpectrum> spectra = {};
  std::vector<std::string> fallbacks = {};
};

// Reads a folder or GGUF file. Throws what load_model throws, and kFormat where pare.json is not what pare
// writes.
ModelFacts read_model_facts(const std::string& path);

// Returns names that tell paths apart: the last parts of each, as few as needed.
std::vector<std::string> short_names(const std::vector<std::string>& paths);

}  // namespace pare
