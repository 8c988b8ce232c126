#include <map>

#include "compress/sparsify/sparsify_pass.h"
#include "options/options.h"
#include "options/pass_options.h"

namespace pare {
namespace {

struct Options {
  SparsifyOptions sparsify;
  std::string pattern = "2:4";
  std::vector<std::string> mix;
  std::string shuffle;
  std::string shuffle_streams = "both";
  bool best = false;
};

void add_method(CLI::App& command, Options& o) {
  static const std::map<std::string, SparseMethod> kMethods = {{"magnitude", SparseMethod::kMagnitude},
                                                               {"wanda", SparseMethod::kWanda},
                                                               {"ria", SparseMethod::kRia},
                                                               {"esparse", SparseMethod::kEsparse},
                                                               {"sparsegpt", SparseMethod::kSparseGpt},
                                                               {"alps", SparseMethod::kAlps}};
  static const std::map<std::string, NormScale> kNorms = {
      {"sum", NormScale::kSum}, {"rms", NormScale::kRms}, {"relative", NormScale::kRelative}};
  PruneOptions& prune = o.sparsify.prune;
  command.add_option("--pattern", o.pattern,
                     "N:M, at most N of every M consecutive weights of a row stay (default 2:4)");
  command
      .add_option(
          "--mix", o.mix,
          "Another pattern, or dense, that a stage (attention or MLP) may get instead; may be given several "
          "times; needs --target-bytes")
      ->allow_extra_args(false);
  command.add_option(
      "--target-bytes", o.sparsify.target_bytes,
      "Share of the model's bytes that stays, packed; with --mix, spent where predictions suffer most");
  command
      .add_option(
          "--method", prune.score.method,
          "What decides which weights stay: esparse (default), wanda, ria, magnitude, sparsegpt or alps; "
          "the last two update the weights that stay")
      ->transform(one_of(kMethods));
  command.add_option("--bins", prune.score.bins, "esparse: bins of the histogram of a channel (default 100)")
      ->check(CLI::Range(int64_t{1}, kMaxOption));
  command.add_option("--alpha", prune.score.alpha,
                     "esparse: weight of the norm beside the entropy (default 100)");
  command
      .add_option(
          "--norm", prune.score.norm,
          "esparse: how a channel's norm is scaled: sum over tokens, rms, or relative to the mean of all "
          "channels")
      ->transform(one_of(kNorms));
}

void add_update(CLI::App& command, Options& o) {
  static const std::map<std::string, WeightUpdate> kUpdates = {
      {"none", WeightUpdate::kNone}, {"obs", WeightUpdate::kObs}, {"refit", WeightUpdate::kRefit}};
  static const std::map<std::string, MatchOutput> kMatches = {{"layer", MatchOutput::kLayer},
                                                              {"model", MatchOutput::kModel}};
  static const std::map<std::string, bool> kYesNo = {{"yes", true}, {"no", false}};
  SparsifyOptions& sparsify = o.sparsify;
  command
      .add_option(
          "--update", sparsify.prune.update,
          "What the weights that stay become: none (as they are), obs (SparseGPT's update) or refit (least "
          "squares)")
      ->transform(one_of(kUpdates));
  command
      .add_option("--swaps", sparsify.prune.swap_rounds,
                  "Rounds of exchanges inside groups that lower the layer's error (default 0)")
      ->check(CLI::Range(int64_t{0}, kMaxOption));
  command
      .add_option("--sequential", sparsify.sequential,
                  "yes: each linear is calibrated behind all that are already sparse; no: in the dense model")
      ->transform(one_of(kYesNo));
  command
      .add_option(
          "--match", sparsify.match,
          "What outputs are compared with: layer (the dense linear on the same input) or model (o and down "
          "bring the residual stream back to where the dense model has it)")
      ->transform(one_of(kMatches));
  command.add_option("--damping", sparsify.damping, "Of the Gram matrices, relative (default 0.01)");
  command.add_option("--match-damping", sparsify.match_damping,
                     "--match model: how strongly weights hold on to what they were, relative (default 0.3)");
}

void add_shuffle(CLI::App& command, Options& o) {
  static const std::map<std::string, bool> kObjectives = {{"score", false}, {"error", true}};
  command
      .add_option("--shuffle", o.shuffle,
                  "Orders of channels that are baked into the model: none, global (dealt by score), local "
                  "(exchanged inside blocks) or both (default: both for esparse, else none)")
      ->check(one_of({"none", "global", "local", "both"}));
  command.add_option("--shuffle-block", o.sparsify.shuffle.block, "Channels of a block (default 256)")
      ->check(CLI::Range(int64_t{2}, kMaxOption));
  command
      .add_option("--shuffle-objective", o.sparsify.shuffle.by_error,
                  "What exchanges of values and hidden neurons lower: score (the sum of scores that is lost; "
                  "default) or error (of the outputs)")
      ->transform(one_of(kObjectives));
  command
      .add_option(
          "--shuffle-streams", o.shuffle_streams,
          "What is ordered: residual (the stream between the layers), inner (values and hidden neurons) or "
          "both (default)")
      ->check(one_of({"residual", "inner", "both"}));
}

// The best that was found without training and without work at run time (docs/results.md).
void choose_best(SparsifyOptions& options) {
  options.prune.score.method = SparseMethod::kAlps;
  options.prune.swap_rounds = 2;
  options.match = MatchOutput::kModel;
}

void add_best(CLI::App& command, Options& o) {
  CLI::Option* best =
      command.add_flag("--best", o.best,
                       "The best known settings: --method alps --swaps 2 --match model; weights are updated");
  for (const char* name : {"--method", "--update", "--swaps", "--match"})
    best->excludes(command.get_option(name));
}

void add_selection(CLI::App& command, Options& o) {
  command
      .add_option(
          "--targets", o.sparsify.targets,
          "Regular expression of linears to work on, by role (down), name (layers.3.down) or tensor name; "
          "may be given several times (default: all linears of the blocks)")
      ->allow_extra_args(false);
  command
      .add_option("--ignore", o.sparsify.ignore,
                  "Regular expression of linears that stay dense; may be given several times")
      ->allow_extra_args(false);
}

class SparsifyCommandOptions final : public PassOptions {
 public:
  void add(CLI::App& command) override {
    add_method(command, options_);
    add_update(command, options_);
    add_shuffle(command, options_);
    add_selection(command, options_);
    add_best(command, options_);
  }
  std::unique_ptr<Pass> pass(const CLI::App&) const override {
    SparsifyOptions options = options_.sparsify;
    options.prune.pattern = parse_pattern(options_.pattern);
    for (const std::string& pattern : options_.mix)
      options.mix.push_back(pattern == "dense" ? kDense : parse_pattern(pattern));
    if (options_.best) choose_best(options);
    const bool esparse = options.prune.score.method == SparseMethod::kEsparse;
    const std::string shuffle = !options_.shuffle.empty() ? options_.shuffle : esparse ? "both" : "none";
    options.shuffle.global = shuffle == "global" || shuffle == "both";
    options.shuffle.local = shuffle == "local" || shuffle == "both";
    options.shuffle_residual = options_.shuffle_streams != "inner";
    options.shuffle_inner = options_.shuffle_streams != "residual";
    return sparsify_pass(options);
  }

 private:
  Options options_;
};

}  // namespace

std::unique_ptr<PassOptions> sparsify_options() { return std::make_unique<SparsifyCommandOptions>(); }

}  // namespace pare
