// pare serve: models behind an HTTP port.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>

#include "base/log.h"
#include "base/quantities.h"
#include "base/version.h"
#include "checkpoint/generation_config.h"
#include "checkpoint/load.h"
#include "commands/commands.h"
#include "engine/open_model.h"
#include "options/chat_format.h"
#include "options/generation_options.h"
#include "options/options.h"
#include "report/messages.h"
#include "runtime/kv_cache.h"
#include "serve/server.h"

namespace pare {
namespace {

constexpr int64_t kMaxParallel = 1024;
constexpr double kApiTemperature = 1.0;  // the API's own default
constexpr const char* kKeyVariable = "PARE_API_KEY";

struct Options {
  std::vector<std::string> models;
  std::string template_name;
  ServeOptions serve;
  SamplingChoice sampling;
  ComputeType compute = ComputeType::kStored;
};

// Everything a served model points to.
struct Opened {
  Tokenizer tokenizer;
  OpenModel model;
  std::optional<ChatFormat> chat;
  std::string why_no_chat;
  ModelDefaults defaults;
};

// Names a model by its folder, or its file without ".gguf"; a second one of a name gets a number.
std::string id_of(const std::string& path, const std::vector<ServedModel>& others) {
  const std::filesystem::path normal = std::filesystem::absolute(path).lexically_normal();
  const std::filesystem::path last = normal.has_filename() ? normal : normal.parent_path();
  const std::string name = (last.extension() == ".gguf" ? last.stem() : last.filename()).string();
  std::string id = name;
  const auto is_taken = [&](const ServedModel& model) { return model.id == id; };
  for (int i = 2; std::any_of(others.begin(), others.end(), is_taken); ++i)
    id = fmt::format("{}-{}", name, i);
  return id;
}

Opened open(const std::string& path, const Options& options) {
  Tokenizer tokenizer = load_tokenizer(path);
  const ChatInfo info = read_chat_info(path, tokenizer);
  std::optional<ChatFormat> format;
  std::string why;
  try {
    format = chat_format(info, options.template_name, tokenizer);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUnsupported) throw;
    why = error.what();
  }
  OpenModel model = open_model(path, options.compute);
  GenerateOptions otherwise;
  otherwise.sampling.temperature = kApiTemperature;
  ModelDefaults defaults = model_defaults(path, info, otherwise);
  defaults.options.sampling = options.sampling.over(defaults.options.sampling);
  return {std::move(tokenizer), std::move(model), std::move(format), std::move(why), std::move(defaults)};
}

// Returns the first number of a file, behind a word if one is given.
std::optional<int64_t> number_in(const char* path, std::string_view behind = {}) {
  std::ifstream file(path);
  std::string word;
  while (!behind.empty() && word != behind && file >> word) continue;
  int64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;
}

// Returns the memory that the system could still give, in bytes, at most the limit of a container.
int64_t free_memory() {
  int64_t bytes = std::numeric_limits<int64_t>::max();
  if (const auto kilobytes = number_in("/proc/meminfo", "MemAvailable:")) bytes = *kilobytes * 1024;
  return std::min(bytes, number_in("/sys/fs/cgroup/memory.max").value_or(bytes));
}

// Checks the room for keys and values, which is taken at the start and filled as requests come: too much
// would end the server in the middle of a request. Throws kInvalid with the numbers.
void check_room(const std::vector<ServedModel>& served, const ModelThreadLimits& limits,
                ComputeType compute) {
  int64_t needed = 0;
  for (const ServedModel& model : served) {
    const ModelConfig& config = model.packed->config;
    const int64_t context = usable_context(limits.context, config);
    const int64_t bytes = limits.parallel * context * cache_bytes_of_token(config, compute);
    log_info("{}: {} sequences of {} tokens at a time, {} of keys and values when all are full", model.id,
             limits.parallel, context, format_bytes(bytes));
    needed += bytes;
  }
  const int64_t there = free_memory();
  if (needed > there)
    fail(ErrorCode::kInvalid,
         "keys and values of {} sequences of {} tokens a model take {}, and {} of memory are free: lower "
         "--parallel or --context",
         limits.parallel, limits.context, format_bytes(needed), format_bytes(there));
}

std::vector<ServedModel> load(const Options& options, std::vector<std::unique_ptr<Opened>>& opened) {
  std::vector<ServedModel> served;
  for (const std::string& path : options.models) {
    opened.push_back(std::make_unique<Opened>(open(path, options)));
    const Opened& model = *opened.back();
    served.push_back({id_of(path, served), model.model.size.parameters, &model.model.packed, &model.tokenizer,
                      model.chat, model.why_no_chat, model.defaults.options});
    log_info("{}: requests that do not say otherwise are sampled at {}{}", served.back().id,
             describe(model.defaults.options.sampling),
             model.defaults.source.empty() ? "" : fmt::format(" ({})", model.defaults.source));
    if (!model.chat) log_warning("{}: only completions, no chats: {}", path, model.why_no_chat);
  }
  check_room(served, options.serve.limits, options.compute);
  return served;
}

// A key that is given but empty (a variable that is not set) would leave the server open, and one with spaces
// or control characters cannot stand in a header.
void require_key(const std::string& key) {
  if (key.empty()) fail(ErrorCode::kUsage, "--api-key or {} is given, but empty", kKeyVariable);
  if (!std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c <= '~'; }))
    fail(ErrorCode::kUsage, "--api-key holds a space or a character that is not printable ASCII");
}

void run(const Options& options) {
  options.sampling.over({});  // fails before a model is opened
  std::vector<std::unique_ptr<Opened>> opened;
  Server server(options.serve);
  log_info("listening on {} while models load", server.url());
  server.run([&] {
    std::vector<ServedModel> served = load(options, opened);
    repeat_warnings();
    log_info("serving on {}", server.url());
    return served;
  });
}

}  // namespace

void add_serve(CLI::App& app) {
  auto options = std::make_shared<Options>();
  ServeOptions& serve = options->serve;
  serve.version = version();
  ModelThreadLimits& limits = serve.limits;
  CLI::App* command =
      app.add_subcommand("serve", "Serve models over HTTP: the OpenAI API, and a page to compare them");
  add_models(*command, options->models, "what answers requests that name none");
  command->add_option("--host", serve.host, "Address to listen on; 0.0.0.0: every one of this machine")
      ->capture_default_str();
  command->add_option("--port", serve.port, "Port to listen on; 0: one that is free")
      ->capture_default_str()
      ->check(CLI::Range(0, 65535));
  CLI::Option* key =
      command
          ->add_option(
              "--api-key", serve.api_key,
              "What requests must bear (default: nothing); the environment variable hides it from ps")
          ->envname(kKeyVariable);
  command
      ->add_option(
          "--cors", serve.cors,
          "Origin whose pages may read the answers, such as http://localhost:3000; * for every one (may "
          "be given several times)")
      ->allow_extra_args(false);
  command
      ->add_option("--drain", serve.drain,
                   "Seconds that running answers get to their end at SIGTERM or SIGINT")
      ->capture_default_str();
  command->add_option("--context", limits.context, "Tokens of a sequence, prompt and answer together")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{2}, kMaxContext));
  command->add_option("--parallel", limits.parallel, "Sequences of a model that run side by side")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, kMaxParallel));
  command
      ->add_option("--queue", limits.queue,
                   "Sequences of a model that wait before further requests are turned away")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, kMaxOption));
  add_sampling(*command, options->sampling, kApiTemperature);
  add_chat_template(*command, options->template_name);
  add_compute(*command, options->compute);
  command->callback([options, key] {
    if (key->count() > 0 || std::getenv(kKeyVariable) != nullptr) require_key(options->serve.api_key);
    run(*options);
  });
}

}  // namespace pare
