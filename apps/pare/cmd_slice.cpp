// pare slice: make the streams of a model narrower.
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>

#include "base/atomic_file.h"
#include "base/log.h"
#include "commands.h"
#include "compress/fingerprint.h"
#include "compress/output.h"
#include "compress/slice/needs.h"
#include "kernels/cpu_features.h"
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
  std::optional<int64_t> memory;
  bool resume = false;
  bool restart = false;
  bool dry_run = false;
  bool json = false;
};

int64_t sequence_length(const Options& options, const Model& model) {
  return std::min(options.seqlen, model.config.max_positions);
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

// What the library reports, as lines that Progress keeps up to date.
class ProgressLines {
 public:
  void operator()(const std::string& step, int64_t done, int64_t total) {
    if (step != current_) line_ = std::make_unique<Progress>(step, done);
    current_ = step;
    line_->update(done, total);
  }
  void close() { line_.reset(); }

 private:
  std::unique_ptr<Progress> line_;
  std::string current_;
};

constexpr const char* kInterruptHint =
    "\npare: interrupted; the same command with --resume goes on where this one stopped\n";

// Ctrl-C ends the process at once: everything finished is on disk already. Only the hint is added.
extern "C" void end_with_hint(int signal) {
  const ssize_t ignored = ::write(STDERR_FILENO, kInterruptHint, std::strlen(kInterruptHint));
  static_cast<void>(ignored);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

uint64_t folder_bytes(const std::filesystem::path& folder) {
  uint64_t bytes = 0;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error))
    if (it->is_regular_file(error)) bytes += it->file_size(error);
  return bytes;
}

struct Resources {
  SliceNeeds needs;
  int64_t memory_limit = 0;
  int64_t disk_free = 0;

  bool spills() const { return needs.memory + needs.activations > memory_limit; }
};

// Throws kInvalid naming what is needed and what is there. `there`: bytes that an interrupted run has taken.
Resources check_resources(const Options& options, const Model& model, Encoding dtype, uint64_t there) {
  Resources r;
  r.needs = slice_needs(model, options.slice,
                        {options.nsamples, sequence_length(options, model), options.calib == "self"}, dtype);
  const int64_t ram = ::sysconf(_SC_PHYS_PAGES) * ::sysconf(_SC_PAGESIZE);
  r.memory_limit = options.memory.value_or(ram / 2);
  const auto parent = std::filesystem::absolute(options.out).lexically_normal();
  const auto folder = parent.has_filename() ? parent.parent_path() : parent.parent_path().parent_path();
  r.disk_free = static_cast<int64_t>(free_space(folder) + there);
  if (r.needs.memory > r.memory_limit)
    fail(ErrorCode::kInvalid, "this needs {} of memory, and {} may be used of {} (--memory){}",
         format_bytes(r.needs.memory), format_bytes(r.memory_limit), format_bytes(ram),
         options.calib == "self" ? "; with --calib FILE the model need not be in memory" : "");
  if (r.needs.disk > r.disk_free)
    fail(ErrorCode::kInvalid, "this needs {} of disk space in {}, and {} are free",
         format_bytes(r.needs.disk), folder.string(), format_bytes(r.disk_free));
  return r;
}

void dry_run(const Options& options, const Model& model, Encoding dtype) {
  const Tokenizer tokenizer = load_tokenizer(options.model);
  const Resources r = check_resources(options, model, dtype, 0);
  const double seconds =
      measure_seconds(model, tokenizer, options.slice,
                      {options.nsamples, sequence_length(options, model), options.calib == "self"});
  if (options.json) {
    print_json({{"memory", r.needs.memory},
                {"memory_limit", r.memory_limit},
                {"activations", r.needs.activations},
                {"activations_in_memory", !r.spills()},
                {"disk", r.needs.disk},
                {"disk_free", r.disk_free},
                {"seconds", seconds}});
    return;
  }
  print_line("memory  {:>10}  of {} that may be used (--memory)", format_bytes(r.needs.memory),
             format_bytes(r.memory_limit));
  print_line("        {:>10}  of activations, {}", format_bytes(r.needs.activations),
             r.spills() ? "kept on disk only" : "in memory too");
  print_line("disk    {:>10}  of {} free, while it runs", format_bytes(r.needs.disk),
             format_bytes(r.disk_free));
  print_line("time    {:>10}  about, from one layer measured now", format_seconds(seconds));
}

// Everything the result depends on.
Json run_parts(const Options& options, const Model& model, Encoding dtype) {
  Json parts = {{"pare", PARE_VERSION},
                {"instruction set", isa_name(active_isa())},
                {"model", model_fingerprint(model)},
                {"calibration", options.calib == "self" ? "self" : "text"},
                {"--nsamples", options.nsamples},
                {"--seqlen", sequence_length(options, model)},
                {"--seed", options.seed},
                {"--dtype", encoding_info(dtype).name}};
  parts.update(to_json(options.slice));
  return parts;
}

void print_result(const Options& options, const Report& report) {
  if (options.json)
    print_json(report.to_json());
  else
    print_report(report, options.out);
}

// The interrupted run had written everything but its name.
void finish_complete(const Options& options, OutputFolder& output) {
  const std::string manifest = read_text((output.path() / "pare.json").string());
  output.commit();
  log_info("the interrupted run had finished all but the name of the folder");
  if (options.json)
    print_json(parse_json(manifest, "pare.json"));
  else
    print_line("written to {}; `pare eval` measures what it cost", options.out);
}

void run(Options options) {
  choose_streams(options);
  validate(options.slice);
  const Model model = load_model(options.model);
  require_reachable(model, options.slice);
  const Encoding own = model.embedding.encoding;
  const Encoding dtype = options.dtype.value_or(is_block_encoding(own) ? Encoding::kBF16 : own);
  if (options.dry_run) return dry_run(options, model, dtype);
  // Refused before hours are spent.
  OutputFolder output(options.out, options.model,
                      options.resume    ? Leftover::kContinue
                      : options.restart ? Leftover::kDiscard
                                        : Leftover::kRefuse);
  if (output.is_complete()) return finish_complete(options, output);
  const Resources resources = check_resources(options, model, dtype, folder_bytes(output.work()));
  check_finite(model);
  const Tokenizer tokenizer = load_tokenizer(options.model);
  const bool self = options.calib == "self";
  const int64_t seqlen = sequence_length(options, model);
  CalibrationSet set;
  if (!self)
    set = calibration_from_text(tokenizer, read_text(options.calib), options.calib, options.nsamples, seqlen);
  if (options.resume && !output.continued()) log_info("there is nothing to resume: starting");

  WorkArea area(output.work(), dtype, resources.spills());
  Json parts = run_parts(options, model, dtype);
  if (!self) parts["calibration tokens"] = set.sha256;
  require_same_run(area, parts);
  area.before_record([&] { output.keep_unfinished(); });
  std::signal(SIGINT, end_with_hint);
  ProgressLines lines;
  const PassProgress progress = std::ref(lines);
  if (self)
    set = calibration_from_model(model, tokenizer, options.nsamples, seqlen, options.seed, area, progress);
  Report report;
  const Model sliced = slice(model, set, options.slice, area, report, progress);
  lines.close();
  report.recipe["seed"] = options.seed;
  write_compressed(sliced, options.model, output, dtype, set, report);
  print_result(options, report);
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

void add_running(CLI::App& command, Options& o) {
  command
      .add_option(
          "--memory", o.memory,
          "Memory that may be used, e.g. 6GB (default: half of the machine's); activations beyond it stay "
          "on disk")
      ->transform(CLI::AsSizeValue(true))
      ->check(CLI::Range(int64_t{1}, std::numeric_limits<int64_t>::max() - 1));
  auto* resume = command.add_flag("--resume", o.resume, "Go on with an interrupted run of the same command");
  command.add_flag("--restart", o.restart, "Discard what an interrupted run left")->excludes(resume);
  command.add_flag("--dry-run", o.dry_run, "Only say how much memory, disk space and time it will take");
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
  add_running(*command, *options);
  add_json(*command, options->json);
  command->callback([command, options] {
    options->rotation_given = command->count("--rotation") > 0;
    run(*options);
  });
}

}  // namespace pare
