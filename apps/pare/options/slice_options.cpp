#include <map>

#include "compress/slice/slice_pass.h"
#include "options/options.h"
#include "options/pass_options.h"

namespace pare {
namespace {

struct Options {
  SliceOptions slice;
  bool rotation_given = false;
  std::vector<std::string> streams;
};

void choose_streams(Options& options) {
  SliceOptions& slice = options.slice;
  if (options.streams.empty()) {
    slice.residual = options.rotation_given;
    return;
  }
  slice.hidden = slice.value = false;
  for (const std::string& stream : options.streams) {
    if (stream == "residual") slice.residual = true;
    if (stream == "hidden") slice.hidden = true;
    if (stream == "value") slice.value = true;
  }
  if (slice.residual && (slice.hidden || slice.value))
    fail(ErrorCode::kUsage, "--streams: the residual stream is sliced on its own, not together with others");
  if (options.rotation_given && !slice.residual)
    fail(ErrorCode::kUsage, "--rotation goes with --streams residual");
}

void add_what(CLI::App& command, Options& o) {
  command.add_option("--target-params", o.slice.target_params,
                     "Share of the real parameters that stays at most, e.g. 0.9");
  command.add_option(
      "--sparsity", o.slice.sparsity,
      "Share of the sliced width that goes, as SliceGPT counts it (with --rotation or --uniform)");
  add_list(command, "--streams", o.streams,
           "What to slice: hidden, value (both is the default; hidden alone keeps N:M patterns and makes the "
           "smaller GGUF file), or residual, separated by commas",
           one_of(std::vector<std::string>{"hidden", "value", "residual"}));
  command.add_flag("--uniform", o.slice.uniform,
                   "One hidden width for all layers: the result is an ordinary checkpoint of its family");
  command.add_option("--ridge", o.slice.ridge, "Damping of the refits, relative (default 0.001)");
  command.add_option("--round-interval", o.slice.round_interval, "Widths are multiples of it (default 8)")
      ->check(CLI::Range(int64_t{1}, kMaxOption));
}

void add_residual(CLI::App& command, Options& o) {
  static const std::map<std::string, Rotation> kRotations = {{"block", Rotation::kBlock},
                                                             {"global", Rotation::kGlobal}};
  static const std::map<std::string, Covariance> kCovariances = {{"raw", Covariance::kRaw},
                                                                 {"normalized", Covariance::kNormalized}};
  command
      .add_option(
          "--rotation", o.slice.rotation,
          "Slice the residual stream: block (SliceGPT: a basis per stage, with shortcut matrices) or global "
          "(one basis, no shortcuts)")
      ->transform(one_of(kRotations));
  command
      .add_option("--covariance", o.slice.covariance,
                  "Of the residual stream, for its basis: raw, or normalized as the norms see it (default)")
      ->transform(one_of(kCovariances));
  command.add_flag("--slice-head,!--no-slice-head", o.slice.slice_head,
                   "Whether what the head reads is sliced too (default yes)");
  command.add_flag("--keep-tie,!--untie", o.slice.keep_tie,
                   "Whether a tied head stays tied, behind a matrix (default yes)");
}

class SliceCommandOptions final : public PassOptions {
 public:
  void add(CLI::App& command) override {
    add_what(command, options_);
    add_residual(command, options_);
  }
  std::unique_ptr<Pass> pass(const CLI::App& command) const override {
    Options options = options_;
    options.rotation_given = command.count("--rotation") > 0;
    choose_streams(options);
    return slice_pass(options.slice);
  }

 private:
  Options options_;
};

}  // namespace

std::unique_ptr<PassOptions> slice_options() { return std::make_unique<SliceCommandOptions>(); }

}  // namespace pare
