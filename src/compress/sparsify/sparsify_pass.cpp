#include "compress/sparsify/sparsify_pass.h"

#include "compress/sparsify/cost.h"

namespace pare {
namespace {

class SparsifyPass final : public Pass {
 public:
  explicit SparsifyPass(SparsifyOptions options) : options_(std::move(options)) { validate(options_); }

  std::string name() const override { return "sparsify"; }
  void require_applicable(const Model& model) const override { pare::require_applicable(model, options_); }
  Pattern pattern() const override { return options_.prune.pattern; }
  Pattern makes_pattern(const Model& model, int64_t block, Role role) const override {
    return selects(model, options_, block, role) ? options_.prune.pattern : kDense;
  }
  bool loses_pattern(const Model& model, int64_t block, Role role, Pattern pattern) const override {
    return loosens(model, options_, block, role, pattern);
  }
  std::string how_to_keep_patterns() const override {
    return "a `pattern` that implies it keeps it, and `shuffle_streams inner` where linears are left alone";
  }
  Json options() const override { return to_json(options_); }
  Needs needs(const Model& model, const CalibrationPlan& plan, Encoding dtype) const override {
    return sparsify_needs(model, options_, plan, dtype);
  }
  double seconds(const Model& model, const CalibrationPlan& plan) const override {
    return sparsify_seconds(model, options_, plan);
  }
  std::unique_ptr<StageEditor> prepare(Model& model, const PassContext& context) const override {
    return sparsify(model, context.set, options_, context.area, context.report, context.progress);
  }
  // Under a budget the pattern of a stage depends on all other stages, so the pass cannot join.
  bool can_join() const override { return !options_.target_bytes; }

 private:
  SparsifyOptions options_;
};

const std::map<std::string, bool> kObjectives = {{"score", false}, {"error", true}};
// Options that `best` sets.
constexpr const char* kChosenByBest[] = {"method", "update", "swaps", "match"};

std::vector<PassOption> method_options() {
  using enum OptionKind;
  return {
      {.name = "pattern",
       .kind = kWord,
       .help = "N:M, at most N of every M consecutive weights of a row stay (default 2:4)"},
      {.name = "mix",
       .kind = kTexts,
       .help = "Another pattern, or dense, that a stage (attention or MLP) may get instead; may be given "
               "several times; needs `target_bytes`"},
      {.name = "target_bytes",
       .kind = kNumber,
       .help = "Share of the model's bytes that stays, packed; with `mix`, spent where predictions suffer "
               "most"},
      {.name = "method",
       .kind = kWord,
       .help = "What decides which weights stay: esparse (default), wanda, ria, magnitude, sparsegpt or "
               "alps; the last two update the weights that stay",
       .choices = names_of(kMethodWords)},
      {.name = "bins",
       .kind = kCount,
       .help = "esparse: bins of the histogram of a channel (default 100)",
       .least = 1},
      {.name = "alpha",
       .kind = kNumber,
       .help = "esparse: weight of the norm beside the entropy (default 100)"},
      {.name = "norm",
       .kind = kWord,
       .help = "esparse: how a channel's norm is scaled: sum over tokens, rms, or relative to the mean of "
               "all channels",
       .choices = names_of(kNormWords)},
  };
}

std::vector<PassOption> update_options() {
  using enum OptionKind;
  return {
      {.name = "update",
       .kind = kWord,
       .help = "What the weights that stay become: none (as they are), obs (SparseGPT's update) or refit "
               "(least squares)",
       .choices = names_of(kUpdateWords)},
      {.name = "swaps",
       .kind = kCount,
       .help = "Rounds of exchanges inside groups that lower the layer's error (default 0)"},
      {.name = "sequential",
       .kind = kWord,
       .help = "yes: each linear is calibrated behind all that are already sparse; no: in the dense model",
       .choices = names_of(kYesNo)},
      {.name = "match",
       .kind = kWord,
       .help = "What outputs are compared with: layer (the dense linear on the same input) or model (o and "
               "down bring the residual stream back to where the dense model has it)",
       .choices = names_of(kMatchWords)},
      {.name = "damping", .kind = kNumber, .help = "Of the Gram matrices, relative (default 0.01)"},
      {.name = "match_damping",
       .kind = kNumber,
       .help = "`match model`: how strongly weights hold on to what they were, relative (default 0.3)"},
  };
}

std::vector<PassOption> channel_options() {
  using enum OptionKind;
  return {
      {.name = "shuffle",
       .kind = kWord,
       .help = "Orders of channels that are baked into the model: none, global (dealt by score), local "
               "(exchanged inside blocks) or both (default: both for esparse, else none)",
       .choices = {"none", "global", "local", "both"}},
      {.name = "shuffle_block", .kind = kCount, .help = "Channels of a block (default 256)", .least = 2},
      {.name = "shuffle_objective",
       .kind = kWord,
       .help = "What exchanges of values and hidden neurons lower: score (the sum of scores that is lost; "
               "default) or error (of the outputs)",
       .choices = names_of(kObjectives)},
      {.name = "shuffle_streams",
       .kind = kWord,
       .help = "What is ordered: residual (the stream between the layers), inner (values and hidden neurons) "
               "or both (default)",
       .choices = {"residual", "inner", "both"}},
      {.name = "targets",
       .kind = kTexts,
       .help = "Regular expression of linears to work on, by role (down), name (layers.3.down) or tensor "
               "name; may be given several times (default: all linears of the blocks)"},
      {.name = "ignore",
       .kind = kTexts,
       .help = "Regular expression of linears that stay dense; may be given several times"},
      {.name = "best",
       .kind = kFlag,
       .help = "The best known settings, in place of `method`, `update`, `swaps` and `match`: `method alps` "
               "`swaps 2` `match model`; weights are updated"},
  };
}

// Chooses the best options found without training and without work at run time (docs/results.md).
void choose_best(const OptionValues& values, SparsifyOptions& options) {
  for (const char* name : kChosenByBest)
    if (values.contains(name)) fail(ErrorCode::kUsage, "`best` excludes `{}`", name);
  options.prune.score.method = SparseMethod::kAlps;
  options.prune.swap_rounds = 2;
  options.match = MatchOutput::kModel;
}

void take_shuffle(const OptionValues& values, SparsifyOptions& options) {
  std::string shuffle = options.prune.score.method == SparseMethod::kEsparse ? "both" : "none";
  take_option(values, "shuffle", shuffle);
  options.shuffle.global = shuffle == "global" || shuffle == "both";
  options.shuffle.local = shuffle == "local" || shuffle == "both";
  std::string streams = "both";
  take_option(values, "shuffle_streams", streams);
  options.shuffle_residual = streams != "inner";
  options.shuffle_inner = streams != "residual";
  take_option(values, "shuffle_block", options.shuffle.block);
  take_option(values, "shuffle_objective", kObjectives, options.shuffle.by_error);
}

void take_patterns(const OptionValues& values, SparsifyOptions& options) {
  std::string pattern = "2:4";
  take_option(values, "pattern", pattern);
  options.prune.pattern = parse_pattern(pattern);
  std::vector<std::string> mix;
  take_option(values, "mix", mix);
  for (const std::string& other : mix)
    options.mix.push_back(other == "dense" ? kDense : parse_pattern(other));
  if (values.contains("target_bytes")) options.target_bytes = values.at("target_bytes").get<double>();
}

std::unique_ptr<Pass> make_sparsify(const OptionValues& values) {
  SparsifyOptions options;
  take_patterns(values, options);
  PruneOptions& prune = options.prune;
  take_option(values, "method", kMethodWords, prune.score.method);
  take_option(values, "bins", prune.score.bins);
  take_option(values, "alpha", prune.score.alpha);
  take_option(values, "norm", kNormWords, prune.score.norm);
  take_option(values, "update", kUpdateWords, prune.update);
  take_option(values, "swaps", prune.swap_rounds);
  take_options(values, options);
  take_option(values, "targets", options.targets);
  take_option(values, "ignore", options.ignore);
  if (values.value("best", false)) choose_best(values, options);
  if (const WeightUpdate own = effective_update(prune); values.contains("update") && own != prune.update)
    fail(ErrorCode::kUsage, "`method {}` updates weights by itself ({}), and `update` is {}",
         name_of(kMethodWords, prune.score.method), name_of(kUpdateWords, own),
         name_of(kUpdateWords, prune.update));
  take_shuffle(values, options);
  return sparsify_pass(options);
}

std::string mean_error(const std::vector<Json>& entries) {
  return fmt::format("{} linears made sparse, mean relative output error {:.3f}", entries.size(),
                     mean_relative_error(entries));
}

}  // namespace

std::unique_ptr<Pass> sparsify_pass(SparsifyOptions options) {
  return std::make_unique<SparsifyPass>(std::move(options));
}

PassKind sparsify_kind() {
  std::vector<PassOption> options = method_options();
  for (const auto& more : {update_options(), channel_options()})
    options.insert(options.end(), more.begin(), more.end());
  return {.name = "sparsify",
          .help = "Make a model's linears N:M sparse, without training",
          .options = std::move(options),
          .make = make_sparsify,
          .short_form =
              [](const std::string& text) {
                return OptionValues{{"pattern", text}};
              },
          .entries = "sparsity",
          .summary = mean_error};
}

}  // namespace pare
