// pare logits: the model's logits for given token ids.
#include <algorithm>
#include <memory>
#include <numeric>

#include "commands/commands.h"
#include "engine/open_model.h"
#include "options/options.h"
#include "report/output.h"
#include "runtime/forward.h"
#include "runtime/pipeline.h"

namespace pare {
namespace {

constexpr int64_t kTop = 5;
constexpr int64_t kRowsPerPiece = 64;  // rows whose logits exist at once

struct Options {
  std::string model;
  std::vector<int32_t> tokens;
  ComputeType compute = ComputeType::kF32;
  bool json = false;
};

// 9 significant digits determine an f32.
std::string json_row(const float* logits, int64_t vocab) {
  fmt::memory_buffer out;
  for (int64_t i = 0; i < vocab; ++i)
    fmt::format_to(std::back_inserter(out), "{}{:.9g}", i == 0 ? "[" : ",", logits[i]);
  out.push_back(']');
  return fmt::to_string(out);
}

std::string top_row(const float* logits, int64_t vocab) {
  std::vector<int64_t> order(static_cast<size_t>(vocab));
  std::iota(order.begin(), order.end(), 0);
  const auto shown = order.begin() + std::min(kTop, vocab);
  std::partial_sort(order.begin(), shown, order.end(), [&](int64_t a, int64_t b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  });
  std::string text;
  for (auto it = order.begin(); it != shown; ++it) text += fmt::format("  {:>6}: {:<9.4f}", *it, logits[*it]);
  return text;
}

void run(const Options& options, Comm& comm) {
  const std::vector<OpenModel> models = open_models({options.model}, options.compute, comm);
  if (!comm.is_first()) return serve_stages(comm, packed_models(models));
  const PipelineSession session(comm);
  const OpenModel& model = models.front();
  const auto count = static_cast<int64_t>(options.tokens.size());
  if (count > model.packed.config.max_positions)
    fail(ErrorCode::kInvalid, "{} tokens exceed the model's context of {}", count,
         model.packed.config.max_positions);
  KvCache cache(model.packed, count);
  const Activation hidden = forward(model.packed, options.tokens, cache);
  if (options.json) print("{\"logits\": [");
  for (int64_t first = 0; first < count; first += kRowsPerPiece) {
    const int64_t rows = std::min(kRowsPerPiece, count - first);
    const Matrix<float> logits = logits_of(model.packed, hidden.rows_of(first, rows));
    for (int64_t r = 0; r < rows; ++r) {
      if (options.json)
        print((first + r == 0 ? "\n" : ",\n") + json_row(logits.row(r), logits.cols()));
      else
        print_line("{:>5} {:>6} ->{}", first + r, options.tokens[static_cast<size_t>(first + r)],
                   top_row(logits.row(r), logits.cols()));
    }
  }
  if (options.json) print("\n]}\n");
}

}  // namespace

void add_logits(CLI::App& app, Comm& comm) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("logits", "Print the logits after each of the given tokens");
  add_model(*command, options->model);
  add_list(*command, "--tokens", options->tokens, "Token ids, separated by commas")->required();
  add_compute(*command, options->compute);
  add_json(*command, options->json);
  command->callback([options, &comm] { run(*options, comm); });
}

}  // namespace pare
