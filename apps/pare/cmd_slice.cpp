// pare slice: make the streams of a model narrower.
#include <limits>
#include <memory>

#include "base/log.h"
#include "commands.h"
#include "compress/output.h"
#include "compress/slice/slice.h"
#include "messages.h"
#include "model/load.h"
#include "options.h"
#include "output.h"

namespace pare {
namespace {

// CLI11 clamps what does not fit an integer: a range below the type's own turns that into an error.
constexpr int64_t kMaxCount = int64_t{1} << 32;

struct Options {
  std::string model;
  std::string out;
  SliceOptions slice;
  bool rotation_given = false;
  std::vector<std::string> streams;
  std::string calib = "self";
  int64_t nsamples = 64;
  int64_t seqlen = 1024;
  uint64_t seed = 0;
  std::optional<Encoding> dtype;
  bool json = false;
};

CalibrationSet calibrate(const Options& options, const Model& model, const Tokenizer& tokenizer) {
  const int64_t seqlen = std::min(options.seqlen, model.config.max_positions);
  if (options.calib != "self")
    return calibration_from_text(tokenizer, read_text(options.calib), options.calib, options.nsamples,
                                 seqlen);
  log_info("writing {} samples of {} tokens to calibrate on", options.nsamples, seqlen);
  const PackedModel packed(model, ComputeType::kBF16);
  return calibration_from_model(packed, tokenizer, options.nsamples, seqlen, options.seed);
}

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

void print_report(const Report& report, const std::string& out) {
  const auto share = [](int64_t after, int64_t before) {
    return 100.0 * static_cast<double>(after) / static_cast<double>(before);
  };
  print_line("parameters  {:>12} -> {:>12}  ({:.1f} %)", report.before.parameters, report.after.parameters,
             share(report.after.parameters, report.before.parameters));
  print_line("bytes       {:>12} -> {:>12}  ({:.1f} %)", report.before.bytes, report.after.bytes,
             share(report.after.bytes, report.before.bytes));
  double worst = 0.0;
  for (const ExactCheck& check : report.checks) worst = std::max(worst, check.relative_difference);
  print_line("{} exact steps checked, largest difference {:.1e}", report.checks.size(), worst);
  for (const std::string& fallback : report.fallbacks) print_line("fallback: {}", fallback);
  print_line("written to {}; `pare eval` measures what it cost", out);
}

void run(Options options) {
  choose_streams(options);
  validate(options.slice);
  const Model model = load_model(options.model);
  check_finite(model);
  const Tokenizer tokenizer = load_tokenizer(options.model);
  OutputFolder output(options.out, options.model);  // refused before hours are spent
  const CalibrationSet set = calibrate(options, model, tokenizer);
  Report report;
  std::unique_ptr<Progress> line;
  std::string current;
  const Model sliced =
      slice(model, set, options.slice, report, [&](const std::string& step, int64_t done, int64_t total) {
        if (step != current) line = std::make_unique<Progress>(step);
        current = step;
        line->update(done, total);
      });
  line.reset();
  report.recipe["seed"] = options.seed;
  const Encoding own = model.embedding.encoding;
  const bool plain = encoding_info(own).block_values == 1;
  write_compressed(sliced, options.model, output, options.dtype.value_or(plain ? own : Encoding::kBF16), set,
                   report);
  if (options.json)
    print_json(report.to_json());
  else
    print_report(report, options.out);
}

void add_what(CLI::App& command, Options& o) {
  command.add_option("--target-params", o.slice.target_params,
                     "Share of the real parameters that stays at most, e.g. 0.9");
  command.add_option(
      "--sparsity", o.slice.sparsity,
      "Share of the sliced width that goes, as SliceGPT counts it (with --rotation or --uniform)");
  command
      .add_option("--streams", o.streams,
                  "What to slice: hidden, value (both is the default), or residual, separated by commas")
      ->delimiter(',')
      ->check(CLI::IsMember({"hidden", "value", "residual"}));
  command.add_flag("--uniform", o.slice.uniform,
                   "One hidden width for all layers: the result is an ordinary checkpoint of its family");
  command.add_option("--ridge", o.slice.ridge, "Damping of the refits, relative (default 0.001)");
  command.add_option("--round-interval", o.slice.round_interval, "Widths are multiples of it (default 8)")
      ->check(CLI::Range(int64_t{1}, kMaxCount));
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
      ->transform(CLI::CheckedTransformer(kRotations).description(""));
  command
      .add_option("--covariance", o.slice.covariance,
                  "Of the residual stream, for its basis: raw, or normalized as the norms see it (default)")
      ->transform(CLI::CheckedTransformer(kCovariances).description(""));
  command.add_flag("--slice-head,!--no-slice-head", o.slice.slice_head,
                   "Whether what the head reads is sliced too (default yes)");
  command.add_flag("--keep-tie,!--untie", o.slice.keep_tie,
                   "Whether a tied head stays tied, behind a matrix (default yes)");
}

void add_calibration(CLI::App& command, Options& o) {
  command.add_option("--calib", o.calib,
                     "Calibration text file, or self: the model writes its own (default)");
  command.add_option("--nsamples", o.nsamples, "Calibration sequences (default 64)")
      ->check(CLI::Range(int64_t{1}, kMaxCount));
  command.add_option("--seqlen", o.seqlen, "Tokens of each (default 1024, at most the model's context)")
      ->check(CLI::Range(int64_t{2}, kMaxCount));
  command.add_option("--seed", o.seed, "Of everything that is drawn (default 0)")
      ->check(CLI::Range(int64_t{0}, std::numeric_limits<int64_t>::max() - 1));
}

}  // namespace

void add_slice(CLI::App& app) {
  static const std::map<std::string, Encoding> kTypes = {
      {"f32", Encoding::kF32}, {"f16", Encoding::kF16}, {"bf16", Encoding::kBF16}};
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("slice", "Cut the width of a model's streams, without training");
  add_model(*command, options->model);
  command->add_option("-o,--output", options->out, "A new folder for the sliced model")->required();
  add_what(*command, *options);
  add_residual(*command, *options);
  add_calibration(*command, *options);
  command
      ->add_option(
          "--dtype", options->dtype,
          "Type of the written matrices: f32, f16 or bf16 (default: the model's; quantised ones become bf16)")
      ->transform(CLI::CheckedTransformer(kTypes).description(""));
  add_json(*command, options->json);
  command->callback([command, options] {
    options->rotation_given = command->count("--rotation") > 0;
    run(*options);
  });
}

}  // namespace pare
