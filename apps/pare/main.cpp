#include <malloc.h>

#include <csignal>
#include <cstdio>
#include <new>

#include "base/parallel.h"
#include "commands.h"
#include "messages.h"
#include "output.h"

namespace pare {
namespace {

constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;

int report(int status, std::string_view message) {
  fmt::print(stderr, "pare: error: {}\n", message);
  return status;
}

int report(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {  // --help, --version
    app.exit(error);
    return kOk;
  }
  const auto commands = app.get_subcommands();
  const std::string command = commands.empty() ? "" : " " + commands.front()->get_name();
  return report(kUsage, fmt::format("{} (see pare{} --help)", error.what(), command));
}

void add_common_options(CLI::App& app) {
  app.set_version_flag("--version", "pare " PARE_VERSION, "Print the version and exit");
  app.add_option_function<int>("--threads", set_thread_count, "Threads (default: the CPUs of the process)")
      ->check(CLI::Range(1, 1024));
  app.add_flag_callback("--quiet", silence_messages, "No messages but errors");
  app.fallthrough();  // common options may also stand behind the subcommand
  app.require_subcommand(1);
}

int run(int argc, char** argv) {
  // A reader that goes away is an error of write(), not the death of the process.
  std::signal(SIGPIPE, SIG_IGN);
  // A file that outgrows its limit likewise.
  std::signal(SIGXFSZ, SIG_IGN);
  // Every stage allocates and frees its activations: kept in the heap, their pages are not zeroed anew each
  // time. Not so the matrices of large models: they would leave holes that the next ones do not fit into.
  mallopt(M_MMAP_THRESHOLD, 1 << 25);
  mallopt(M_TRIM_THRESHOLD, 1 << 28);
  show_messages();
  CLI::App app("Makes trained language models smaller and faster without retraining.", "pare");
  add_common_options(app);
  add_inspect(app);
  add_slice(app);
  add_sparsify(app);
  add_compress(app);
  add_eval(app);
  add_generate(app);
  add_chat(app);
  add_bench(app);
  add_convert(app);
  add_tokenize(app);
  add_logits(app);
  try {
    app.parse(argc, argv);
    return kOk;
  } catch (const CLI::ParseError& error) {
    return report(app, error);
  } catch (const OutputClosed&) {
    return kOk;
  } catch (const Error& error) {
    return report(error.code() == ErrorCode::kUsage ? kUsage : kFailed, error.what());
  } catch (const std::bad_alloc&) {
    return report(kFailed, "out of memory");
  } catch (const std::exception& error) {
    return report(kFailed, error.what());
  }
}

}  // namespace
}  // namespace pare

int main(int argc, char** argv) { return pare::run(argc, argv); }
