// Selection of the linears that a pass works on.
#pragma once

#include <regex>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/roles.h"

namespace pare {

class Selection {
 public:
  // Takes regular expressions that match a role, a linear's name or a tensor's name as a whole; none: all.
  // Throws kUsage naming an expression that is not one.
  Selection(const std::vector<std::string>& targets, const std::vector<std::string>& ignore);
  bool selects(const ModelConfig& config, int64_t block, Role role) const;

 private:
  std::vector<std::regex> targets_;
  std::vector<std::regex> ignore_;
};

}  // namespace pare
