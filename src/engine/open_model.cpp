#include "engine/open_model.h"

#include "base/named_errors.h"
#include "checkpoint/load.h"
#include "runtime/pipeline.h"

namespace pare {

OpenModel open_model(const std::string& path, ComputeType compute) {
  const Model model = load_model(path);
  naming(path, [&] { check_finite(model); });
  return {model_size(model), PackedModel(model, compute)};
}

std::vector<OpenModel> open_models(const std::vector<std::string>& paths, ComputeType compute, Comm& comm) {
  std::vector<OpenModel> models;
  for (const std::string& path : paths) {
    if (comm.size() == 1) {
      models.push_back(open_model(path, compute));
      continue;
    }
    const Model model = load_model(path);
    std::vector<Placement> placements = {split_blocks(model, comm.size())[static_cast<size_t>(comm.rank())]};
    const Model part = part_of(model, placements.front());
    naming(path, [&] { check_finite(part); });
    if (comm.is_first())
      placements.push_back({placements.front().end, model.blocks.size(), nullptr,
                            std::make_shared<Pipeline>(comm, static_cast<int64_t>(models.size()),
                                                       model.head_weight().cols, model.head_weight().rows)});
    models.push_back({model_size(model), PackedModel(model, compute, placements)});
  }
  return models;
}

std::vector<const PackedModel*> packed_models(const std::vector<OpenModel>& models) {
  std::vector<const PackedModel*> packed;
  for (const OpenModel& model : models) packed.push_back(&model.packed);
  return packed;
}

}  // namespace pare
