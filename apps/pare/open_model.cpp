#include "open_model.h"

#include "model/load.h"

namespace pare {

OpenModel open_model(const std::string& path, ComputeType compute) {
  const Model model = load_model(path);
  try {
    check_finite(model);
  } catch (const Error& error) {
    fail(error.code(), "{}: {}", path, error.what());
  }
  return {model_size(model), PackedModel(model, compute)};
}

}  // namespace pare
