#include "compression.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <limits>
#include <map>
#include <memory>

#include "base/quantities.h"
#include "options/options.h"
#include "report/messages.h"
#include "report/output.h"

namespace pare {
namespace {

// Prints the patterns of the finished model's linears.
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

void print_written(const std::string& out) {
  print_line("written to {}; `pare eval` measures what it cost", out);
}

void print_report(const Report& report) {
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
  for (const PassKind& kind : pass_kinds())
    if (kind.summary && !report.of(kind.entries).empty())
      print_line("{}", kind.summary(report.of(kind.entries)));
  print_patterns(report);
  for (const std::string& fallback : report.fallbacks) print_line("fallback: {}", fallback);
}

void print_result(const CompressionRequest& request, const CompressionResult& result) {
  if (request.json) return print_json(result.manifest);
  if (!result.was_finished) print_report(result.report);
  print_written(request.options.out);
}

void print_cost(const CompressionCost& cost, int ranks, bool json) {
  if (json) {
    print_json({{"ranks", ranks},
                {"memory", cost.needs.memory},
                {"memory_limit", cost.memory_limit},
                {"activations", cost.needs.activations},
                {"activations_in_memory", !cost.spills()},
                {"disk", cost.needs.disk},
                {"disk_free", cost.disk_free},
                {"seconds", cost.seconds}});
    return;
  }
  if (ranks > 1) print_line("ranks   {:>10}  each of which takes", ranks);
  print_line("memory  {:>10}  of {} that may be used (--memory)", format_bytes(cost.needs.memory),
             format_bytes(cost.memory_limit));
  print_line("        {:>10}  of activations, {}", format_bytes(cost.needs.activations),
             cost.spills() ? "kept on disk only" : "in memory too");
  print_line("disk    {:>10}  of {} free, while it runs", format_bytes(cost.needs.disk),
             format_bytes(cost.disk_free));
  print_line("time    {:>10}  about, from a part measured now", format_seconds(cost.seconds));
}

// Shows the library's progress as lines that Progress keeps up to date.
class ProgressLines {
 public:
  void operator()(const std::string& step, int64_t done, int64_t total) {
    if (step != current_) line_ = std::make_unique<Progress>(step, done);
    current_ = step;
    line_->update(done, total);
  }

 private:
  std::unique_ptr<Progress> line_;
  std::string current_;
};

constexpr const char* kInterruptHint =
    "\npare: interrupted; the same command with --resume goes on where this one stopped\n";
// mpirun ends all ranks when it is interrupted or when one of them has died, and says which.
constexpr const char* kEndedHint =
    "\npare: ended by mpirun (a rank died, or the job was interrupted); the same command with --resume goes "
    "on where this one stopped\n";

// Adds the hint when Ctrl-C ends the process at once: everything finished is on disk already.
extern "C" void end_with_hint(int signal) {
  const char* hint = signal == SIGINT ? kInterruptHint : kEndedHint;
  const ssize_t ignored = ::write(STDERR_FILENO, hint, std::strlen(hint));
  static_cast<void>(ignored);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

CompressionResult run(const CompressionOptions& options, const Passes& passes, Comm& comm) {
  ProgressLines lines;
  const RunWatch watch = {.progress = std::ref(lines), .resumable = [&] {
                            std::signal(SIGINT, end_with_hint);
                            if (comm.size() > 1 && comm.is_first()) std::signal(SIGTERM, end_with_hint);
                          }};
  return run_compression(options, passes, comm, watch);
}

void add_calibration(CLI::App& command, CompressionOptions& o) {
  command
      .add_option(
          "--calib", o.calib,
          "Calibration text: a file of plain text or of JSON records with a text each, gzip too; or self: "
          "the model writes its own (default); may be given several times, the sequences are dealt over them")
      ->allow_extra_args(false);
  command.add_option("--nsamples", o.nsamples, "Calibration sequences (default 64)")
      ->check(CLI::Range(int64_t{1}, kMaxOption));
  command.add_option("--seqlen", o.seqlen, "Tokens of each (default 1024, at most the model's context)")
      ->check(CLI::Range(int64_t{2}, kMaxOption));
  command.add_option("--seed", o.seed, "Of everything that is drawn (default 0)")
      ->check(CLI::Range(int64_t{0}, std::numeric_limits<int64_t>::max() - 1));
}

void add_running(CLI::App& command, CompressionRequest& request) {
  command
      .add_option(
          "--memory", request.options.memory,
          "Memory that a process may use, e.g. 6GB (default: half of the machine's); activations beyond it "
          "stay on disk")
      ->transform(CLI::AsSizeValue(true))
      ->check(CLI::Range(int64_t{1}, std::numeric_limits<int64_t>::max() - 1));
  auto* resume =
      command.add_flag("--resume", request.resume, "Go on with an interrupted run of the same command");
  command.add_flag("--restart", request.restart, "Discard what an interrupted run left")->excludes(resume);
  command.add_flag("--dry-run", request.dry_run,
                   "Only say how much memory, disk space and time it will take");
}

void add_storage(CLI::App& command, CompressionRequest& request) {
  static const std::map<std::string, Encoding> kTypes = {
      {"f32", Encoding::kF32}, {"f16", Encoding::kF16}, {"bf16", Encoding::kBF16}, {"int8", Encoding::kInt8}};
  command
      .add_option("--dtype", request.options.dtype,
                  "Type of the written matrices: f32, f16 or bf16, with --format packed also int8 (of the "
                  "linears in the layers, one scale a row); default: the model's, quantised ones become bf16")
      ->transform(one_of(kTypes));
  add_storage_format(command, "--format", request.format, false);
}

}  // namespace

void add_compression_paths(CLI::App& command, CompressionRequest& request) {
  add_model(command, request.options.model);
  command
      .add_option("-o,--output", request.options.out,
                  "A new folder for the compressed model, or a new .gguf file")
      ->required();
}

void add_compression_options(CLI::App& command, CompressionRequest& request, bool storage) {
  add_calibration(command, request.options);
  if (storage) add_storage(command, request);
  add_running(command, request);
  add_json(command, request.json);
}

void compress(const CompressionRequest& request, const Passes& passes, Comm& comm) {
  CompressionOptions options = request.options;
  options.format = storage_format(request.format);
  options.leftover = request.resume    ? Leftover::kContinue
                     : request.restart ? Leftover::kDiscard
                                       : Leftover::kRefuse;
  options.read_text = read_documents_of;
  if (request.dry_run) {
    const CompressionCost cost = cost_of_compression(options, passes, comm);
    if (comm.is_first()) print_cost(cost, comm.size(), request.json);
    return;
  }
  const CompressionResult result = run(options, passes, comm);
  if (comm.is_first()) print_result(request, result);
}

}  // namespace pare
