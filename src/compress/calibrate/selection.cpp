#include "compress/calibrate/selection.h"

#include <algorithm>

#include "base/error.h"
#include "checkpoint/arch/architecture.h"
#include "compress/calibrate/input_group.h"

namespace pare {
namespace {

std::vector<std::regex> compile(const std::vector<std::string>& expressions) {
  std::vector<std::regex> compiled;
  for (const std::string& expression : expressions) {
    try {
      compiled.emplace_back(expression);
    } catch (const std::regex_error& error) {
      fail(ErrorCode::kUsage, "'{}' is not a regular expression: {}", expression, error.what());
    }
  }
  return compiled;
}

}  // namespace

Selection::Selection(const std::vector<std::string>& targets, const std::vector<std::string>& ignore)
    : targets_(compile(targets)), ignore_(compile(ignore)) {}

bool Selection::selects(const ModelConfig& config, int64_t block, Role role) const {
  const std::string names[] = {std::string(role_name(role)), linear_name(block, role),
                               hf_name(writing_architecture(config), {role, block, false})};
  const auto matches = [&](const std::regex& expression) {
    return std::any_of(std::begin(names), std::end(names),
                       [&](const std::string& name) { return std::regex_match(name, expression); });
  };
  return (targets_.empty() || std::any_of(targets_.begin(), targets_.end(), matches)) &&
         std::none_of(ignore_.begin(), ignore_.end(), matches);
}

}  // namespace pare
