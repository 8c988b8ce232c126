#include "compress/calibrate/input_group.h"

#include <algorithm>

#include "base/error.h"

namespace pare {

std::string linear_name(int64_t block, Role role) {
  return block < 0 ? std::string(role_name(role)) : fmt::format("layers.{}.{}", block, role_name(role));
}

std::vector<InputGroup> input_groups(const Stage& stage) {
  std::vector<InputGroup> groups;
  for_each_linear(stage, [&](Role role, const Linear& linear) {
    const Signal signal = signal_read_by(role);
    auto same = std::find_if(groups.begin(), groups.end(),
                             [&](const InputGroup& group) { return group.signal == signal; });
    if (same == groups.end()) same = groups.insert(groups.end(), {signal, {}, linear.weight.cols});
    same->roles.push_back(role);
  });
  return groups;
}

int64_t widest_input(const Model& model) {
  int64_t widest = 0;
  for (const Block& block : model.blocks)
    for (const Stage& stage : block.stages)
      for_each_linear(stage,
                      [&](Role, const Linear& linear) { widest = std::max(widest, linear.weight.cols); });
  return widest;
}

}  // namespace pare
