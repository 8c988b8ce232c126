#include "compress/kept_patterns.h"

#include <algorithm>

#include "base/log.h"
#include "compress/calibrate/input_group.h"
#include "model/visit.h"
#include "tensor/sparse_weight.h"

namespace pare {
namespace {

// Calls visit(block, Role, const Linear&) for all linears of the blocks.
template <typename Visit>
void for_each_block_linear(const Model& model, Visit&& visit) {
  for (size_t b = 0; b < model.blocks.size(); ++b)
    for (const Stage& stage : model.blocks[b].stages)
      for_each_linear(stage,
                      [&](Role role, const Linear& linear) { visit(static_cast<int64_t>(b), role, linear); });
}

// Returns a text like "v, o of 30 layers, down of 2 layers".
std::string by_role(const std::vector<SparseLinear>& linears) {
  std::map<Role, int64_t> counts;
  for (const SparseLinear& linear : linears) ++counts[linear.role];
  std::map<int64_t, std::string> roles;
  for (const auto& [role, count] : counts)
    roles[count] += fmt::format("{}{}", roles[count].empty() ? "" : ", ", role_name(role));
  std::string text;
  for (const auto& [count, names] : roles)
    text += fmt::format("{}{} of {} layer{}", text.empty() ? "" : ", ", names, count, count == 1 ? "" : "s");
  return text;
}

}  // namespace

std::vector<SparseLinear> sparse_linears(const Model& model) {
  std::vector<SparseLinear> sparse;
  for_each_block_linear(model, [&](int64_t block, Role role, const Linear& linear) {
    const Pattern pattern = followed_pattern(linear.weight);
    if (!pattern.dense()) sparse.push_back({block, role, pattern});
  });
  return sparse;
}

std::map<std::string, int64_t> linears_by_pattern(const Model& model) {
  std::map<std::string, int64_t> counts;
  for_each_block_linear(model, [&](int64_t, Role, const Linear& linear) {
    ++counts[pattern_name(followed_pattern(linear.weight))];
  });
  return counts;
}

void require_order(const Model& model, const Passes& passes) {
  for (size_t later = 1; later < passes.size(); ++later)
    for (size_t earlier = 0; earlier < later; ++earlier)
      if (!passes[earlier]->keeps_codes() && !passes[earlier]->codes(model).empty() &&
          !passes[later]->keeps_codes())
        fail(ErrorCode::kUsage, "pass {} ({}) has to be the last: {} behind it would undo its rounding",
             earlier + 1, passes[earlier]->name(), passes[later]->name());
  for (size_t later = 1; later < passes.size(); ++later)
    for (size_t earlier = 0; earlier < later; ++earlier)
      if (const int64_t step = passes[later]->needs_width_step(); passes[earlier]->width_step() % step != 0)
        fail(ErrorCode::kUsage,
             "pass {} ({}) needs widths that {} divides, and pass {} ({}) may make others: `streams hidden` "
             "`round_interval {}` makes them fit",
             later + 1, passes[later]->name(), step, earlier + 1, passes[earlier]->name(), step);
  for (size_t later = 1; later < passes.size(); ++later)
    for (size_t earlier = 0; earlier < later; ++earlier)
      for_each_block_linear(model, [&](int64_t block, Role role, const Linear&) {
        const Pattern made = passes[earlier]->makes_pattern(model, block, role);
        if (made.dense() || !passes[later]->loses_pattern(model, block, role, made)) return;
        fail(ErrorCode::kUsage,
             "pass {} ({}) would undo what pass {} ({}) makes: {} and others would no longer be {}; the "
             "other order keeps both",
             later + 1, passes[later]->name(), earlier + 1, passes[earlier]->name(), linear_name(block, role),
             pattern_name(made));
      });
}

std::vector<SparseLinear> kept_linears(const Model& model, const Passes& passes) {
  std::vector<SparseLinear> linears = sparse_linears(model);
  for (const auto& pass : passes)
    std::erase_if(linears, [&](const SparseLinear& l) {
      return pass->loses_pattern(model, l.block, l.role, l.pattern);
    });
  return linears;
}

void warn_of_lost_patterns(const Model& model, const Passes& passes) {
  std::vector<SparseLinear> linears = sparse_linears(model);
  const size_t all = linears.size();
  for (const auto& pass : passes) {
    const auto lost = std::stable_partition(linears.begin(), linears.end(), [&](const SparseLinear& l) {
      return !pass->loses_pattern(model, l.block, l.role, l.pattern);
    });
    if (lost == linears.end()) continue;
    const std::vector<SparseLinear> gone(lost, linears.end());
    linears.erase(lost, linears.end());
    const std::string advice = pass->how_to_keep_patterns();
    log_warning(
        "{} linears are sparse already, and {} may undo that in {} of them: {} need not be {} afterwards{}{}",
        all, pass->name(), gone.size(), by_role(gone), pattern_name(gone.front().pattern),
        advice.empty() ? "" : "; ", advice);
  }
}

}  // namespace pare
