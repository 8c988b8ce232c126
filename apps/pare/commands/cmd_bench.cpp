// pare bench: speed and memory of models side by side.
#include <algorithm>
#include <memory>

#include "base/parallel.h"
#include "bench_worker.h"
#include "commands/commands.h"
#include "options/options.h"
#include "report/bench_table.h"
#include "report/messages.h"
#include "report/output.h"

namespace pare {
namespace {

constexpr int64_t kBandwidthBytes = 256 << 20;  // beyond any last-level cache a core has to itself

struct Options {
  std::vector<std::string> models;
  SpeedOptions speed;
  std::optional<int64_t> depth;
  int64_t repeats = 5;
  ComputeType compute = ComputeType::kStored;
  bool profile = false;
  bool json = false;
};

// All measurements of one model.
struct Series {
  std::vector<double> prefill, decode;                  // seconds
  std::vector<double> linears_prefill, linears_decode;  // shares of these seconds
};

Json figures(const Options& o, const BenchModel& model, BenchSubject& worker, const Series& series,
             double bandwidth) {
  const int64_t peak = worker.peak_rss();
  const double prefill = median(series.prefill);
  const double per_token = median(series.decode) / static_cast<double>(o.speed.decode);
  const double bytes = worker.facts().at("weight_bytes_per_token").get<double>() +
                       worker.facts().at("kv_bytes_per_token").get<double>();
  Json json = {{"path", model.path}};
  json.update(worker.facts());
  json["prefill_tokens_per_second"] = static_cast<double>(o.speed.prefill) / prefill;
  json["decode_tokens_per_second"] = 1.0 / per_token;
  json["bytes_per_token"] = bytes;
  json["decode_bytes_per_second"] = bytes / per_token;
  json["bandwidth_share"] = bytes / per_token / bandwidth;
  json["peak_rss"] = peak;
  if (o.profile) {
    json["linear_share_prefill"] = median(series.linears_prefill);
    json["linear_share_decode"] = median(series.linears_decode);
  }
  return json;
}

// Only the first rank has something to measure.
std::unique_ptr<BenchSubject> open_subject(const BenchModel& model, Comm& comm) {
  if (comm.size() == 1) return std::make_unique<BenchWorker>(model);
  auto subject = std::make_unique<RankedBench>(model, comm);
  return comm.is_first() ? std::move(subject) : nullptr;
}

void run(Options o, Comm& comm) {
  if (comm.size() > 1 && (o.models.size() > 1 || o.profile))
    fail(ErrorCode::kUsage, "on several ranks, one model is measured, without --profile");
  o.speed.depth = o.depth.value_or(o.speed.prefill);
  std::vector<BenchModel> models;
  std::vector<std::unique_ptr<BenchSubject>> workers;
  for (const std::string& path : o.models) models.push_back({path, o.compute, o.speed, o.profile});
  for (const BenchModel& model : models) workers.push_back(open_subject(model, comm));
  if (!comm.is_first()) return;

  // Models and the bandwidth take turns, so that a noisy moment of the machine hits all alike.
  std::vector<Series> series(models.size());
  std::vector<double> bandwidth;
  Progress progress("repeat");
  for (int64_t repeat = 0; repeat < o.repeats; ++repeat) {
    for (size_t m = 0; m < models.size(); ++m) {
      const SpeedSample sample = workers[m]->run();
      series[m].prefill.push_back(sample.prefill_seconds);
      series[m].decode.push_back(sample.decode_seconds);
      series[m].linears_prefill.push_back(sample.prefill_linear_seconds / sample.prefill_seconds);
      series[m].linears_decode.push_back(sample.decode_linear_seconds / sample.decode_seconds);
    }
    bandwidth.push_back(read_bandwidth(kBandwidthBytes));
    progress.update(repeat + 1, o.repeats);
  }

  Json report = {{"dtype", compute_type_name(o.compute)},
                 {"threads", thread_count()},
                 {"prefill", o.speed.prefill},
                 {"decode", o.speed.decode},
                 {"depth", o.speed.depth},
                 {"repeats", o.repeats},
                 {"profile", o.profile},
                 {"memory_bytes_per_second", median(bandwidth)},
                 {"models", Json::array()}};
  for (size_t m = 0; m < models.size(); ++m)
    report["models"].push_back(figures(o, models[m], *workers[m], series[m], median(bandwidth)));
  if (o.json)
    print_json(report);
  else
    print(bench_table(report));
}

}  // namespace

void add_bench(CLI::App& app, Comm& comm) {
  auto options = std::make_shared<Options>();
  const CLI::Range counts(int64_t{1}, int64_t{1} << 20);
  CLI::App* command = app.add_subcommand("bench", "Measure speed and memory, models side by side");
  add_models(*command, options->models, "the baseline");
  command->add_option("--prefill", options->speed.prefill, "Tokens of the prompt")
      ->capture_default_str()
      ->check(counts);
  command->add_option("--decode", options->speed.decode, "Tokens produced one by one")
      ->capture_default_str()
      ->check(counts);
  command->add_option("--depth", options->depth,
                      "Tokens in the context when decoding starts (default: --prefill)");
  command->add_option("--repeats", options->repeats, "Measurements; the median counts")
      ->capture_default_str()
      ->check(counts);
  command->add_flag("--profile", options->profile, "Also show which share of the time the linears take");
  add_compute(*command, options->compute);
  add_json(*command, options->json);
  command->callback([options, &comm] { run(*options, comm); });
}

}  // namespace pare
