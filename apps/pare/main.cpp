#include <malloc.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <iterator>
#include <memory>
#include <new>
#include <numeric>
#include <utility>
#include <vector>

#include "base/parallel.h"
#include "base/version.h"
#include "base/words.h"
#include "commands/commands.h"
#include "compress/passes.h"
#include "mpi/job_comm.h"
#include "report/flags.h"
#include "report/messages.h"
#include "report/output.h"

namespace pare {
namespace {

constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;

int report(int status, std::string_view message) {
  fmt::print(stderr, "pare: error: {}\n", with_known_flags(message));
  return status;
}

// Returns the exit status of an error of the parser; 0 for --help and --version.
int status_of(const CLI::ParseError& error) {
  return error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success) ? kOk : kUsage;
}

// Returns the number of insertions, deletions and replacements that turn `a` into `b` (Levenshtein).
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

// Returns the command that `word` may stand for: it begins with the word, or is at most two characters away.
std::string nearest_command(const CLI::App& app, const std::string& word) {
  std::string nearest;
  size_t best = 3;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    const std::string& name = command->get_name();
    const size_t distance = name.starts_with(word) ? 0 : edit_distance(word, name);
    if (distance >= best) continue;
    best = distance;
    nearest = name;
  }
  return nearest;
}

// Returns the parser's message; "Could not convert: --port = x" is put more clearly.
std::string reason_of(const CLI::ParseError& error) {
  constexpr std::string_view kNotConverted = "Could not convert: ";
  std::string reason = error.what();
  if (!reason.starts_with(kNotConverted)) return reason;
  return reason.substr(kNotConverted.size()) + " is no number that this option takes";
}

// Says what is wrong with the arguments. Names a word in place of a command, and the most similar command.
std::string usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const auto commands = app.get_subcommands();
  if (!commands.empty())
    return fmt::format("{} (see pare {} --help)", reason_of(error), commands.front()->get_name());
  const std::vector<std::string> words = app.remaining();
  if (words.empty()) return fmt::format("{} (see pare --help)", reason_of(error));
  if (words.front().starts_with('-')) return words.front() + " is not an option (see pare --help)";
  const std::string nearest = nearest_command(app, words.front());
  return fmt::format("{} is not a command{} (see pare --help)", words.front(),
                     nearest.empty() ? "" : fmt::format(", did you mean {}?", nearest));
}

int report(const CLI::App& app, const CLI::ParseError& error) {
  if (status_of(error) == kOk) {
    app.exit(error);
    return kOk;
  }
  return report(kUsage, usage_error(app, error));
}

// Ends all ranks after an error of one. The first rank reports it, be it its own error or one that another
// has announced; when it is too busy to listen, the rank that failed does.
int end_job(Comm& comm, int status, std::string_view message) {
  if (comm.is_first()) {
    report(status, message);
  } else {
    comm.announce_failure(message);
    report(status, fmt::format("rank {}: {}", comm.rank(), message));
  }
  comm.end_job(status);
  return status;
}

bool is_command(const CLI::App& app, const std::string& word) {
  const auto is_named = [&](const CLI::App* command) { return command->get_name() == word; };
  return !app.get_subcommands(is_named).empty();
}

// Returns the words behind the program's name, where `help` and `help COMMAND` become `--help` and
// `COMMAND --help`.
std::vector<std::string> words_of(const CLI::App& app, int argc, char** argv) {
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  if (words.empty() || words.front() != "help") return words;
  words.erase(words.begin());
  if (words.empty() || is_command(app, words.front())) words.emplace_back("--help");
  return words;
}

void add_common_options(CLI::App& app) {
  app.set_version_flag("-V,--version", fmt::format("pare {}", version()), "Print the version and exit");
  app.add_option_function<int>("--threads", set_thread_count, "Threads (default: the CPUs of the process)")
      ->check(CLI::Range(1, 1024));
  app.add_flag_callback("--quiet", silence_messages, "No messages but errors");
  app.fallthrough();  // common options may also stand behind the subcommand
  app.require_subcommand(1);
}

// Commands that split the calibration samples over ranks.
std::vector<std::string> sample_commands() {
  std::vector<std::string> names;
  for (const PassKind& kind : pass_kinds())
    if (kind.on_ranks) names.push_back(kind.name);
  names.emplace_back("compress");
  return names;
}

// Commands that split the layers over ranks.
std::vector<std::string> layer_commands() { return {"eval", "generate", "bench", "logits"}; }

void require_ranked(const CLI::App& app) {
  const std::string name = app.get_subcommands().front()->get_name();
  for (const std::vector<std::string>& names : {sample_commands(), layer_commands()})
    if (std::find(names.begin(), names.end(), name) != names.end()) return;
  fail(ErrorCode::kUsage, "pare {} does not split its work over ranks", name);
}

// Runs the command that the arguments name; returns the exit status.
int run_command(int argc, char** argv, Comm& comm) {
  CLI::App app("Makes trained language models smaller and faster.", "pare");
  add_common_options(app);
  if (has_mpi())
    app.footer(
        fmt::format("Under mpirun, {} split the calibration samples over 1, 2 or 4 ranks;\n"
                    "{} split the layers over any number.",
                    listed(sample_commands()), listed(layer_commands())));
  add_inspect(app);
  add_passes(app, comm);
  add_compress(app, comm);
  add_eval(app, comm);
  add_generate(app, comm);
  add_chat(app);
  add_serve(app);
  add_bench(app, comm);
  add_report(app);
  add_convert(app);
  add_tokenize(app);
  add_logits(app, comm);
  know_flags(app);
  if (comm.size() > 1) app.parse_complete_callback([&app] { require_ranked(app); });
  try {
    std::vector<std::string> words = words_of(app, argc, argv);
    std::reverse(words.begin(), words.end());  // the parser wants the last word first
    app.parse(std::move(words));
    return kOk;
  } catch (const CLI::ParseError& error) {
    // All ranks see the same arguments.
    return comm.is_first() ? report(app, error) : status_of(error);
  } catch (const OutputClosed&) {
    return kOk;
  } catch (const Error& error) {
    return end_job(comm, error.code() == ErrorCode::kUsage ? kUsage : kFailed, error.what());
  } catch (const std::bad_alloc&) {
    return end_job(comm, kFailed, "out of memory");
  } catch (const std::exception& error) {
    return end_job(comm, kFailed, error.what());
  }
}

int run(int argc, char** argv) {
  // A reader that goes away becomes an error of write() instead of ending the process.
  std::signal(SIGPIPE, SIG_IGN);
  // A file that outgrows its limit becomes an error of write(), too.
  std::signal(SIGXFSZ, SIG_IGN);
  // Every stage allocates and frees its activations: kept in the heap, their pages are not zeroed anew each
  // time. Matrices of large models are not kept: they would leave holes that the next ones do not fit into.
  mallopt(M_MMAP_THRESHOLD, 1 << 25);
  mallopt(M_TRIM_THRESHOLD, 1 << 28);
  show_messages();
  try {
    const std::unique_ptr<Comm> comm = job_comm();
    if (!comm->is_first()) silence_messages();
    return run_command(argc, argv, *comm);
  } catch (const Error& error) {
    return report(kFailed, error.what());
  }
}

}  // namespace
}  // namespace pare

int main(int argc, char** argv) { return pare::run(argc, argv); }
