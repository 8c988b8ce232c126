#include "compression.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "base/atomic_file.h"
#include "base/hash.h"
#include "base/log.h"
#include "checkpoint/load.h"
#include "compress/kept_patterns.h"
#include "compress/resume/fingerprint.h"
#include "compress/resume/output.h"
#include "compress/run_passes.h"
#include "compress/walk/sample_split.h"
#include "io/output_folder.h"
#include "kernels/backend.h"
#include "model/visit.h"
#include "options/options.h"
#include "report/messages.h"
#include "report/output.h"
#include "tensor/sparse_weight.h"

namespace pare {
namespace {

using Options = CompressionOptions;

// What is there at the end, whatever each pass has made.
void print_patterns(const Report& report) {
  int64_t all = 0;
  int64_t sparse = 0;
  std::string patterns;
  for (const auto& [pattern, count] : report.linears) {
    all += count;
    if (pattern == pattern_name(kDense)) continue;
    sparse += count;
    patterns += fmt::format("{}{} in {}", patterns.empty() ? "" : ", ", pattern, count);
  }
  if (sparse > 0) print_line("{} of {} linears are sparse in what was written: {}", sparse, all, patterns);
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
  if (!report.sparsity.empty()) {
    double error = 0.0;
    for (const SparsityEntry& entry : report.sparsity) error += entry.relative_error;
    print_line("{} linears made sparse, mean relative output error {:.3f}", report.sparsity.size(),
               error / static_cast<double>(report.sparsity.size()));
  }
  print_patterns(report);
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
// mpirun ends all ranks when it is interrupted or when one of them has died, and says which.
constexpr const char* kEndedHint =
    "\npare: ended by mpirun (a rank died, or the job was interrupted); the same command with --resume goes "
    "on "
    "where this one stopped\n";

// Ctrl-C ends the process at once: everything finished is on disk already. Only the hint is added.
extern "C" void end_with_hint(int signal) {
  const char* hint = signal == SIGINT ? kInterruptHint : kEndedHint;
  const ssize_t ignored = ::write(STDERR_FILENO, hint, std::strlen(hint));
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
  Needs needs;
  int64_t memory_limit = 0;
  int64_t disk_free = 0;

  bool spills() const { return needs.memory + needs.activations > memory_limit; }
};

constexpr const char* kSelf = "self";

// Samples of the i-th source.
int64_t samples_of(const Options& options, size_t i) {
  const auto sources = static_cast<int64_t>(options.calib.size());
  return options.nsamples / sources + (static_cast<int64_t>(i) < options.nsamples % sources ? 1 : 0);
}

CalibrationPlan plan_of(const Options& options, const Model& model, int ranks) {
  CalibrationPlan plan = {options.nsamples, std::min(options.seqlen, model.config.max_positions), 0, ranks};
  for (size_t i = 0; i < options.calib.size(); ++i)
    if (options.calib[i] == kSelf) plan.self_samples = samples_of(options, i);
  return plan;
}

void require_sources(const Options& options) {
  const std::set<std::string> distinct(options.calib.begin(), options.calib.end());
  if (distinct.size() < options.calib.size()) fail(ErrorCode::kUsage, "--calib names a source twice");
  if (static_cast<int64_t>(distinct.size()) > options.nsamples)
    fail(ErrorCode::kUsage, "--nsamples is {}, expected one or more for each of {} sources (--calib)",
         options.nsamples, distinct.size());
}

// Texts need a tokenizer. What the model writes itself does not: one that pare cannot read is only warned of.
std::optional<Tokenizer> tokenizer_for(const Options& options) {
  try {
    return load_tokenizer(options.model);
  } catch (const Error& error) {
    const auto is_self = [](const std::string& source) { return source == kSelf; };
    // A GGUF file's tokenizer is written anew, which needs it understood.
    if (is_gguf_path(options.model) || !std::all_of(options.calib.begin(), options.calib.end(), is_self))
      throw;
    log_warning(
        "{}; the model's own text, which calibrates it, may begin with any token, and the tokenizer's files "
        "are "
        "carried on as they are",
        error.what());
    return std::nullopt;
  }
}

// The sets of the texts, in the order of --calib; that of the model itself is left empty.
std::vector<CalibrationSet> text_sets(const Options& options, const std::optional<Tokenizer>& tokenizer,
                                      const ModelConfig& config, int64_t seqlen) {
  std::vector<CalibrationSet> sets(options.calib.size());
  for (size_t i = 0; i < sets.size(); ++i)
    if (const std::string& source = options.calib[i]; source != kSelf)
      sets[i] = calibration_from_text(*tokenizer, read_documents_of(source), config.eos,
                                      samples_of(options, i), seqlen);
  return sets;
}

// Throws kInvalid naming what is needed and what is there. `there`: bytes that an interrupted run has taken.
Resources check_resources(const Options& options, const Passes& passes, const Model& model, int ranks,
                          Encoding dtype, uint64_t there) {
  Resources r;
  const CalibrationPlan plan = plan_of(options, model, ranks);
  r.needs = needs_of(model, passes, plan, dtype);
  const int64_t ram = ::sysconf(_SC_PHYS_PAGES) * ::sysconf(_SC_PAGESIZE);
  r.memory_limit = options.memory.value_or(ram / 2);
  const auto parent = std::filesystem::absolute(options.out).lexically_normal();
  const auto folder = parent.has_filename() ? parent.parent_path() : parent.parent_path().parent_path();
  r.disk_free = static_cast<int64_t>(free_space(folder) + there);
  if (r.needs.memory > r.memory_limit)
    fail(ErrorCode::kInvalid, "this needs {} of memory, and {} may be used of {} (--memory){}",
         format_bytes(r.needs.memory), format_bytes(r.memory_limit), format_bytes(ram),
         plan.self_samples > 0 ? "; with --calib FILE the model need not be in memory" : "");
  if (r.needs.disk > r.disk_free)
    fail(ErrorCode::kInvalid, "this needs {} of disk space in {}, and {} are free",
         format_bytes(r.needs.disk), folder.string(), format_bytes(r.disk_free));
  return r;
}

void dry_run(const Options& options, const Passes& passes, const Model& model, int ranks, Encoding dtype) {
  const std::optional<Tokenizer> tokenizer = tokenizer_for(options);
  const Resources r = check_resources(options, passes, model, ranks, dtype, 0);
  const double seconds =
      seconds_of(model, tokenizer ? &*tokenizer : nullptr, passes, plan_of(options, model, ranks));
  if (options.json) {
    print_json({{"ranks", ranks},
                {"memory", r.needs.memory},
                {"memory_limit", r.memory_limit},
                {"activations", r.needs.activations},
                {"activations_in_memory", !r.spills()},
                {"disk", r.needs.disk},
                {"disk_free", r.disk_free},
                {"seconds", seconds}});
    return;
  }
  if (ranks > 1) print_line("ranks   {:>10}  each of which takes", ranks);
  print_line("memory  {:>10}  of {} that may be used (--memory)", format_bytes(r.needs.memory),
             format_bytes(r.memory_limit));
  print_line("        {:>10}  of activations, {}", format_bytes(r.needs.activations),
             r.spills() ? "kept on disk only" : "in memory too");
  print_line("disk    {:>10}  of {} free, while it runs", format_bytes(r.needs.disk),
             format_bytes(r.disk_free));
  print_line("time    {:>10}  about, from one layer measured now", format_seconds(seconds));
}

// Everything the result depends on.
Json run_parts(const Options& options, const Passes& passes, const Model& model, Encoding dtype) {
  std::string sources;
  for (const std::string& source : options.calib)
    sources += (sources.empty() ? "" : " + ") + std::string(source == kSelf ? kSelf : "text");
  Json own = {{"nsamples", options.nsamples},
              {"seqlen", plan_of(options, model, 1).seqlen},
              {"seed", options.seed},
              {"dtype", encoding_info(options.dtype.value_or(dtype)).name},
              {"format", options.format}};
  own.update(options_of(passes));
  return {{"pare", PARE_VERSION},
          {"instruction set", default_backend().detail()},
          {"model", model_fingerprint(model)},
          {"calibration", sources},
          {"options", own}};
}

// Refused before hours are spent: a format that the result would not go into.
void require_storable(const Options& options, const Passes& passes, const Model& model,
                      StorageFormat format) {
  const bool int8 = options.dtype == Encoding::kInt8;
  if (int8 && format != StorageFormat::kPacked) fail(ErrorCode::kUsage, "--dtype int8 needs --format packed");
  if (format == StorageFormat::kPlain) return;
  const std::vector<SparseLinear> kept = kept_linears(model, passes);
  const auto any = [&](auto&& suits) {
    return std::any_of(passes.begin(), passes.end(),
                       [&](const auto& pass) { return suits(pass->pattern()); }) ||
           std::any_of(kept.begin(), kept.end(), [&](const SparseLinear& l) { return suits(l.pattern); });
  };
  if (format == StorageFormat::kPacked && !int8 && !any([](Pattern p) { return !p.dense(); }))
    fail(ErrorCode::kUsage,
         "--format packed needs --dtype int8, a pass that makes linears sparse or a model that stays so");
  if (format == StorageFormat::kSparse24Bitmask && !any([](Pattern p) { return implies(p, k2of4); }))
    fail(ErrorCode::kUsage,
         "--format {} needs a pass that makes linears 2:4 sparse, or a model that stays so", options.format);
}

// What the input is stored in and the output will not be.
void warn_of_lost_storage(const Options& options, const Model& model, StorageFormat format) {
  std::set<int64_t> bits;  // of codes
  int64_t codes = 0;
  int64_t packed = 0;
  for_each_tensor(
      model,
      [&](const TensorPlace&, const Weight& weight) {
        packed += weight.format.pattern.dense() ? 0 : 1;
        const EncodingInfo& info = encoding_info(weight.format.encoding);
        if (info.kind != EncodingKind::kCode) return;
        ++codes;
        bits.insert(8 * info.block_bytes / info.block_values);
      },
      [](const TensorPlace&, const std::vector<float>&) {});
  if (codes > 0 && options.dtype != Encoding::kInt8)
    log_warning(
        "{} matrices are stored in {} bits and will be written in 16; --format packed --dtype int8 "
        "rounds the result to 8 bits again",
        codes, fmt::join(bits, " or "));
  if (packed > 0 && format == StorageFormat::kPlain)
    log_warning(
        "{} sparse matrices are stored without their zeros and will be written with them; --format "
        "packed leaves them out again",
        packed);
}

void print_result(const Options& options, const Report& report) {
  if (options.json)
    print_json(report.to_json());
  else
    print_report(report, options.out);
}

// The folder of the result.
std::unique_ptr<OutputFolder> open_output(const Options& options) {
  return std::make_unique<OutputFolder>(options.out, options.model,
                                        options.resume    ? Leftover::kContinue
                                        : options.restart ? Leftover::kDiscard
                                                          : Leftover::kRefuse);
}

// Where a rank other than the first keeps what it needs on the way: beside the result.
std::filesystem::path rank_folder(const Options& options, int rank) {
  auto path = std::filesystem::absolute(options.out).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  path += fmt::format(".rank-{}", rank);
  return path;
}

// What the first rank has found where it writes, on every rank.
enum class Found { kNothing, kWork, kComplete };

Found found_by_first(const OutputFolder* output, Comm& comm) {
  auto found = static_cast<int>(Found::kNothing);
  if (output != nullptr && output->continued()) found = static_cast<int>(Found::kWork);
  if (output != nullptr && output->is_complete()) found = static_cast<int>(Found::kComplete);
  comm.broadcast(0, bytes_of(&found, 1));
  return static_cast<Found>(found);
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

void add_calibration(CLI::App& command, Options& o) {
  command
      .add_option(
          "--calib", o.calib,
          "Calibration text: a file of plain text or of JSON records with a text each, gzip too; or self: "
          "the "
          "model writes its own (default); may be given several times, the sequences are dealt over them")
      ->allow_extra_args(false);
  command.add_option("--nsamples", o.nsamples, "Calibration sequences (default 64)")
      ->check(CLI::Range(int64_t{1}, kMaxOption));
  command.add_option("--seqlen", o.seqlen, "Tokens of each (default 1024, at most the model's context)")
      ->check(CLI::Range(int64_t{2}, kMaxOption));
  command.add_option("--seed", o.seed, "Of everything that is drawn (default 0)")
      ->check(CLI::Range(int64_t{0}, std::numeric_limits<int64_t>::max() - 1));
}

void add_running(CLI::App& command, Options& o) {
  command
      .add_option(
          "--memory", o.memory,
          "Memory that a process may use, e.g. 6GB (default: half of the machine's); activations beyond it "
          "stay on disk")
      ->transform(CLI::AsSizeValue(true))
      ->check(CLI::Range(int64_t{1}, std::numeric_limits<int64_t>::max() - 1));
  auto* resume = command.add_flag("--resume", o.resume, "Go on with an interrupted run of the same command");
  command.add_flag("--restart", o.restart, "Discard what an interrupted run left")->excludes(resume);
  command.add_flag("--dry-run", o.dry_run, "Only say how much memory, disk space and time it will take");
}

}  // namespace

void add_compression_paths(CLI::App& command, Options& options) {
  add_model(command, options.model);
  command.add_option("-o,--output", options.out, "A new folder for the compressed model")->required();
}

void add_compression_options(CLI::App& command, Options& options) {
  static const std::map<std::string, Encoding> kTypes = {
      {"f32", Encoding::kF32}, {"f16", Encoding::kF16}, {"bf16", Encoding::kBF16}, {"int8", Encoding::kInt8}};
  add_calibration(command, options);
  command
      .add_option("--dtype", options.dtype,
                  "Type of the written matrices: f32, f16 or bf16, with --format packed also int8 (of the "
                  "linears in the "
                  "layers, one scale a row); default: the model's, quantised ones become bf16")
      ->transform(one_of(kTypes));
  add_storage_format(command, "--format", options.format);
  add_running(command, options);
  add_json(command, options.json);
}

void run_compression(const Options& options, const Passes& passes, Comm& comm) {
  const StorageFormat format = storage_format(options.format);
  require_sources(options);
  require_split(comm);
  const Model model = load_model(options.model);
  require_storable(options, passes, model, format);
  passes.front()->require_applicable(model);
  require_order(model, passes);
  if (comm.is_first()) {
    warn_of_lost_patterns(model, passes);
    warn_of_lost_storage(options, model, format);
  }
  const Encoding own = model.embedding.format.encoding;
  const bool int8 = options.dtype == Encoding::kInt8;
  // What is worked with and kept on the way; int8 is made at the very end.
  const Encoding dtype = options.dtype && !int8 ? *options.dtype : is_float(own) ? own : Encoding::kBF16;
  if (options.dry_run) {
    if (comm.is_first()) dry_run(options, passes, model, comm.size(), dtype);
    return;
  }
  // Refused before hours are spent.
  std::unique_ptr<OutputFolder> output = comm.is_first() ? open_output(options) : nullptr;
  const Found found = found_by_first(output.get(), comm);
  const auto open_rank_folder = [&] {
    output = std::make_unique<OutputFolder>(rank_folder(options, comm.rank()), "",
                                            found == Found::kWork ? Leftover::kContinue : Leftover::kDiscard);
  };
  if (found == Found::kComplete) {
    if (comm.is_first()) return finish_complete(options, *output);
    return open_rank_folder();  // which removes it
  }
  const auto own_folder =
      output ? output->path() : OutputFolder::partial_of(rank_folder(options, comm.rank()));
  const Resources resources =
      check_resources(options, passes, model, comm.size(), dtype, folder_bytes(own_folder));
  check_finite(model);
  const std::optional<Tokenizer> tokenizer = tokenizer_for(options);
  const CalibrationPlan plan = plan_of(options, model, comm.size());
  std::vector<CalibrationSet> sets = text_sets(options, tokenizer, model.config, plan.seqlen);
  // What is wrong for all ranks was found by now, so that it leaves no folders behind.
  comm.barrier();
  if (!output) open_rank_folder();
  if (options.resume && !output->continued()) log_info("there is nothing to resume: starting");

  WorkArea area(output->work(), dtype, resources.spills(), comm);
  Json parts = run_parts(options, passes, model, dtype);
  std::string tokens;
  for (const CalibrationSet& set : sets) tokens += set.sha256;
  if (!tokens.empty()) parts["calibration tokens"] = sha256_hex(tokens);
  require_same_run(area, parts);
  area.before_record([&] { output->keep_unfinished(); });
  std::signal(SIGINT, end_with_hint);
  if (comm.size() > 1 && comm.is_first()) std::signal(SIGTERM, end_with_hint);
  ProgressLines lines;
  const PassProgress progress = std::ref(lines);
  for (CalibrationSet& set : sets)
    if (set.sequences.empty())
      set = calibration_from_model(model, tokenizer ? &*tokenizer : nullptr, plan.self_samples, plan.seqlen,
                                   options.seed, area, progress);
  const CalibrationSet set = sets.size() == 1 ? std::move(sets.front()) : mixed_calibration(sets);
  Report report;
  const Model compressed = run_passes(model, set, passes, area, report, progress);
  lines.close();
  report.recipe["seed"] = options.seed;
  if (comm.is_first())
    write_compressed(compressed, options.model, *output,
                     {.dtype = int8 ? Encoding::kInt8 : dtype, .format = format}, set, report);
  // Until here the others keep what a resumed run would need.
  comm.barrier();
  if (comm.is_first())
    print_result(options, report);
  else
    output->discard();
}

}  // namespace pare
