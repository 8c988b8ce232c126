#include "compress/sparsify/options.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "compress/calibrate/input_group.h"
#include "compress/calibrate/selection.h"
#include "compress/pass_options.h"
#include "model/visit.h"
#include "tensor/sparse_weight.h"

namespace pare {

const std::map<std::string, SparseMethod> kMethodWords = {{"magnitude", SparseMethod::kMagnitude},
                                                          {"wanda", SparseMethod::kWanda},
                                                          {"ria", SparseMethod::kRia},
                                                          {"esparse", SparseMethod::kEsparse},
                                                          {"sparsegpt", SparseMethod::kSparseGpt},
                                                          {"alps", SparseMethod::kAlps}};
const std::map<std::string, NormScale> kNormWords = {
    {"sum", NormScale::kSum}, {"rms", NormScale::kRms}, {"relative", NormScale::kRelative}};
const std::map<std::string, WeightUpdate> kUpdateWords = {
    {"none", WeightUpdate::kNone}, {"obs", WeightUpdate::kObs}, {"refit", WeightUpdate::kRefit}};

namespace {

const char* shuffle_name(const ShuffleOptions& shuffle) {
  if (!shuffle.any()) return "none";
  return shuffle.global ? (shuffle.local ? "both" : "global") : "local";
}

double kept_share(Pattern pattern) {
  return pattern.dense() ? 1.0 : static_cast<double>(pattern.kept) / pattern.group;
}

// Calls visit(block, Role, const Linear&).
template <typename Visit>
void for_each_selected(const Model& model, const SparsifyOptions& options, Visit&& visit) {
  const Selection selection(options.targets, options.ignore);
  for (size_t b = 0; b < model.blocks.size(); ++b)
    for (const Stage& stage : model.blocks[b].stages)
      for_each_linear(stage, [&](Role role, const Linear& linear) {
        const auto block = static_cast<int64_t>(b);
        if (selection.selects(model.config, block, role)) visit(block, role, linear);
      });
}

}  // namespace

std::vector<Pattern> pattern_candidates(const SparsifyOptions& options) {
  std::vector<Pattern> patterns = options.mix;
  patterns.push_back(options.prune.pattern);
  std::stable_sort(patterns.begin(), patterns.end(),
                   [](Pattern a, Pattern b) { return kept_share(a) > kept_share(b); });
  patterns.erase(std::unique(patterns.begin(), patterns.end()), patterns.end());
  for (size_t i = 1; i < patterns.size(); ++i)
    if (kept_share(patterns[i - 1]) == kept_share(patterns[i]))
      fail(ErrorCode::kUsage,
           "patterns {} and {} keep the same share of the weights: there is nothing to choose",
           pattern_name(patterns[i - 1]), pattern_name(patterns[i]));
  return patterns;
}

void validate(const SparsifyOptions& o) {
  if (o.prune.score.bins < 1) fail(ErrorCode::kUsage, "`bins` is {}, expected 1 or more", o.prune.score.bins);
  if (!(o.prune.score.alpha >= 0.0) || !std::isfinite(o.prune.score.alpha))
    fail(ErrorCode::kUsage, "`alpha` is {}, expected 0 or more", o.prune.score.alpha);
  validate(static_cast<const LinearCalibrationOptions&>(o));
  if (o.shuffle.block < 2)
    fail(ErrorCode::kUsage, "`shuffle_block` is {}, expected 2 or more", o.shuffle.block);
  if (o.target_bytes && !(*o.target_bytes > 0.0 && *o.target_bytes <= 1.0))
    fail(ErrorCode::kUsage, "`target_bytes` is {}, expected more than 0 and at most 1", *o.target_bytes);
  if (o.target_bytes.has_value() == o.mix.empty())
    fail(ErrorCode::kUsage, "`mix` and `target_bytes` go together");
  pattern_candidates(o);
  Selection(o.targets, o.ignore);
}

void require_applicable(const Model& model, const SparsifyOptions& options) {
  const std::vector<Pattern> patterns = pattern_candidates(options);
  bool any = false;
  for_each_selected(model, options, [&](int64_t block, Role role, const Linear& linear) {
    any = true;
    for (const Pattern pattern : patterns)
      if (!pattern.dense() && linear.weight.cols % pattern.group != 0)
        fail(ErrorCode::kInvalid,
             "{} has {} columns, which pattern {} does not divide; `ignore` leaves it dense",
             linear_name(block, role), linear.weight.cols, pattern_name(pattern));
  });
  if (!any) fail(ErrorCode::kInvalid, "`targets` and `ignore` leave no linear to work on");
}

bool selects(const Model& model, const SparsifyOptions& options, int64_t block, Role role) {
  return Selection(options.targets, options.ignore).selects(model.config, block, role);
}

bool loosens(const Model& model, const SparsifyOptions& options, int64_t block, Role role, Pattern pattern) {
  // Columns change their order in linears that are left as they are, too.
  const bool reordered = options.shuffle.any() && options.shuffle_residual && reads_residual(role);
  if (!selects(model, options, block, role)) return reordered;
  const std::vector<Pattern> patterns = pattern_candidates(options);
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](Pattern p) { return p.dense() ? reordered : !implies(p, pattern); });
}

std::vector<std::string> selected_roles(const Model& model, const SparsifyOptions& options) {
  std::set<std::string> roles;
  for_each_selected(model, options,
                    [&](int64_t, Role role, const Linear&) { roles.emplace(role_name(role)); });
  return {roles.begin(), roles.end()};
}

Json to_json(const SparsifyOptions& o) {
  Json json = {{"pattern", pattern_name(o.prune.pattern)},
               {"method", name_of(kMethodWords, o.prune.score.method)},
               {"update", name_of(kUpdateWords, effective_update(o.prune))},
               {"swaps", o.prune.swap_rounds},
               {"sequential", o.sequential},
               {"match", name_of(kMatchWords, o.match)},
               {"shuffle", shuffle_name(o.shuffle)},
               {"shuffle_block", o.shuffle.block},
               {"shuffle_objective", o.shuffle.by_error ? "error" : "score"},
               {"shuffle_residual", o.shuffle_residual},
               {"shuffle_inner", o.shuffle_inner},
               {"damping", o.damping},
               {"targets", o.targets},
               {"ignore", o.ignore}};
  if (o.match == MatchOutput::kModel) json["match_damping"] = o.match_damping;
  if (o.target_bytes) {
    json["target_bytes"] = *o.target_bytes;
    for (const Pattern pattern : o.mix) json["mix"].push_back(pattern_name(pattern));
  }
  if (o.prune.score.method == SparseMethod::kEsparse) {
    json["bins"] = o.prune.score.bins;
    json["alpha"] = o.prune.score.alpha;
    json["norm"] = name_of(kNormWords, o.prune.score.norm);
  }
  return json;
}

}  // namespace pare
