// pare serve: models behind an HTTP port.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "base/log.h"
#include "chat_format.h"
#include "commands.h"
#include "model/kv_cache.h"
#include "model/load.h"
#include "open_model.h"
#include "options.h"
#include "serve/server.h"

namespace pare {
namespace {

constexpr int64_t kMaxParallel = 1024;

struct Options {
  std::vector<std::string> models;
  std::string template_name;
  ServeOptions serve;
  ComputeType compute = ComputeType::kBF16;
};

// Everything a served model points to.
struct Opened {
  Tokenizer tokenizer;
  OpenModel model;
  std::optional<ChatFormat> chat;
  std::string why_no_chat;
};

// The name of the folder, or of the file without ".gguf"; a second one of a name gets a number.
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
  std::optional<ChatFormat> format;
  std::string why;
  try {
    format = read_chat_format(path, options.template_name, tokenizer);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUnsupported) throw;
    why = error.what();
  }
  OpenModel model = open_model(path, options.compute);
  return {std::move(tokenizer), std::move(model), std::move(format), std::move(why)};
}

void run(const Options& options) {
  std::vector<std::unique_ptr<Opened>> opened;
  std::vector<ServedModel> served;
  for (const std::string& path : options.models) {
    opened.push_back(std::make_unique<Opened>(open(path, options)));
    const Opened& model = *opened.back();
    served.push_back({id_of(path, served), model.model.size.parameters, &model.model.packed, &model.tokenizer,
                      model.chat, model.why_no_chat});
    if (!model.chat) log_warning("{}: only completions, no chats: {}", path, model.why_no_chat);
  }
  const EngineLimits& limits = options.serve.limits;
  for (const ServedModel& model : served) {
    const ModelConfig& config = model.packed->config;
    const int64_t context = usable_context(limits.context, config);
    log_info("{}: {} sequences of {} tokens at a time, {} of keys and values when all are full", model.id,
             limits.parallel, context,
             format_bytes(limits.parallel * context * cache_bytes_of_token(config, options.compute)));
  }
  Server server(std::move(served), options.serve);
  log_info("serving on {}", server.url());
  server.run();
}

}  // namespace

void add_serve(CLI::App& app) {
  auto options = std::make_shared<Options>();
  ServeOptions& serve = options->serve;
  EngineLimits& limits = serve.limits;
  CLI::App* command =
      app.add_subcommand("serve", "Serve models over HTTP: the OpenAI API, and a page to compare them");
  add_models(*command, options->models);
  command->add_option("--host", serve.host, "Address to listen on; 0.0.0.0: every one of this machine")
      ->capture_default_str();
  command->add_option("--port", serve.port, "Port to listen on; 0: one that is free")->capture_default_str();
  command
      ->add_option("--api-key", serve.api_key,
                   "What requests must bear (default: nothing); the environment variable hides it from ps")
      ->envname("PARE_API_KEY");
  command->add_option("--context", limits.context, "Tokens of a sequence, prompt and answer together")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{2}, kMaxContext));
  command->add_option("--parallel", limits.parallel, "Sequences of a model that run side by side")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, kMaxParallel));
  command
      ->add_option("--queue", limits.queue,
                   "Sequences of a model that may wait; further requests are turned away")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, kMaxOption));
  add_chat_template(*command, options->template_name);
  add_compute(*command, options->compute);
  command->callback([options] { run(*options); });
}

}  // namespace pare
