#include "bench_worker.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <map>
#include <new>
#include <optional>
#include <system_error>

#include "engine/open_model.h"
#include "runtime/pipeline.h"

namespace pare {
namespace {

constexpr const char* kRun = "run";
constexpr const char* kPeak = "peak";

// A channel is read through its stream and written through its descriptor. A peer that has gone shows when
// the answer is read.
void send_line(std::FILE* channel, std::string line) {
  line.push_back('\n');
  for (size_t sent = 0; sent < line.size();) {
    const ssize_t n = write(fileno(channel), line.data() + sent, line.size() - sent);
    if (n <= 0) return;
    sent += static_cast<size_t>(n);
  }
}

void send(std::FILE* channel, const Json& message) {
  send_line(channel, message.dump(-1, ' ', false, Json::error_handler_t::replace));
}

// A line without its end; nothing when the other side has gone.
std::optional<std::string> receive_line(std::FILE* channel) {
  std::string line;
  for (int c = std::fgetc(channel); c != '\n'; c = std::fgetc(channel)) {
    if (c == EOF) return std::nullopt;
    line.push_back(static_cast<char>(c));
  }
  return line;
}

int64_t own_peak_rss() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

// Returns which kernels run the linears, and the weights and bytes that they hold.
Json kernels_of(const PackedModel& model) {
  struct Use {
    int64_t linears = 0, weights = 0, bytes = 0;
  };
  std::map<std::string, Use> uses;
  for (const PackedLinear* linear : model.linears()) {
    Use& use = uses[std::string(linear->kernel())];
    ++use.linears;
    use.weights += linear->out_features() * linear->in_features();
    use.bytes += linear->bytes();
  }
  Json json = Json::array();
  for (const auto& [name, use] : uses)
    json.push_back(
        {{"kernel", name},
         {"linears", use.linears},
         {"weights", use.weights},
         {"bytes", use.bytes},
         {"bits_per_weight", 8.0 * static_cast<double>(use.bytes) / static_cast<double>(use.weights)}});
  return json;
}

Json facts_of(const OpenModel& model, const SpeedTest& test) {
  int64_t weights = 0;
  for (const PackedLinear* linear : model.packed.linears())
    weights += linear->out_features() * linear->in_features();
  const auto bits = 8.0 * static_cast<double>(model.packed.bytes_per_token());
  return {{"parameters", model.size.parameters},
          {"kernels", kernels_of(model.packed)},
          {"bits_per_weight", bits / static_cast<double>(weights)},
          {"weight_bytes_per_token", model.packed.bytes_per_token()},
          {"kv_bytes_per_token", test.kv_bytes_per_token()},
          // The embedding is not packed; only its rows are read.
          {"resident_bytes",
           model.packed.bytes_per_token() + model.packed.embedding.table_bytes() + test.kv_cache_bytes()}};
}

Json to_json(const SpeedSample& sample) {
  return {{"prefill", sample.prefill_seconds},
          {"decode", sample.decode_seconds},
          {"prefill_linears", sample.prefill_linear_seconds},
          {"decode_linears", sample.decode_linear_seconds}};
}

void serve(const BenchModel& options, std::FILE* channel) {
  OpenModel model = open_model(options.path, options.compute);
  std::optional<LinearClock> clock;
  if (options.profile) clock.emplace(model.packed);
  SpeedTest test(model.packed, options.speed, clock ? &*clock : nullptr);
  test.run();  // the first run touches everything for the first time
  send(channel, facts_of(model, test));
  while (const auto request = receive_line(channel)) {
    if (*request == kRun) {
      send(channel, to_json(test.run()));
    } else {
      send(channel, {{"peak", own_peak_rss()}});
    }
  }
}

// Runs the child process: serves requests until the parent goes; errors travel to the parent.
[[noreturn]] void child(const BenchModel& options, int socket) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::FILE* channel = fdopen(socket, "r");
  if (channel == nullptr) _exit(1);
  const auto report = [&](ErrorCode code, const char* message) {
    send(channel, {{"error", message}, {"code", static_cast<int>(code)}});
  };
  try {
    serve(options, channel);
  } catch (const Error& error) {
    report(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    report(ErrorCode::kIo, "out of memory");
  } catch (const std::exception& error) {
    report(ErrorCode::kInternal, error.what());
  }
  _exit(0);
}

SpeedSample to_sample(const Json& answer) {
  return {answer.at("prefill").get<double>(), answer.at("decode").get<double>(),
          answer.at("prefill_linears").get<double>(), answer.at("decode_linears").get<double>()};
}

[[noreturn]] void fail_system(const char* what) {
  fail(ErrorCode::kIo, "cannot start a process to measure in: {}: {}", what,
       std::generic_category().message(errno));
}

}  // namespace

BenchWorker::BenchWorker(const BenchModel& model) : path_(model.path) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) fail_system("socketpair");
  pid_ = fork();
  if (pid_ == 0) {
    close(sockets[0]);
    child(model, sockets[1]);
  }
  close(sockets[1]);
  channel_ = pid_ < 0 ? nullptr : fdopen(sockets[0], "r");
  if (channel_ == nullptr) {
    close(sockets[0]);
    fail_system("fork");
  }
  facts_ = receive();
}

BenchWorker::~BenchWorker() {
  if (channel_ != nullptr) std::fclose(channel_);
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
}

Json BenchWorker::receive() {
  const auto line = receive_line(channel_);
  if (!line) fail(ErrorCode::kIo, "the process measuring {} died (killed for lack of memory?)", path_);
  Json answer = parse_json(*line, "benchmark process");
  if (answer.contains("error"))
    throw Error(static_cast<ErrorCode>(answer.at("code").get<int>()), answer.at("error").get<std::string>());
  return answer;
}

Json BenchWorker::ask(const std::string& request) {
  send_line(channel_, request);
  return receive();
}

struct RankedBench::State {
  std::vector<OpenModel> models;
  SpeedTest test;
  std::optional<PipelineSession> session;

  State(const BenchModel& model, Comm& comm)
      : models(open_models({model.path}, model.compute, comm)), test(models.front().packed, model.speed) {}
};

// Adds up the figures of all ranks, and keeps every rank's own.
RankedBench::RankedBench(const BenchModel& model, Comm& comm)
    : comm_(comm), state_(std::make_unique<State>(model, comm)) {
  const std::vector<std::string> all = comm.gather(facts_of(state_->models.front(), state_->test).dump());
  if (!comm.is_first()) {
    serve_stages(comm, packed_models(state_->models));
    comm.gather(std::to_string(own_peak_rss()));
    return;
  }
  state_->session.emplace(comm);
  Json ranks = Json::array();
  for (const std::string& facts : all) ranks.push_back(parse_json(facts, "a rank's facts"));
  facts_ = ranks.front();
  double bits = 0.0;  // bits of all weights
  double weights = 0.0;
  facts_["kernels"] = Json::array();
  for (size_t rank = 1; rank < ranks.size(); ++rank) {
    for (const char* sum : {"weight_bytes_per_token", "resident_bytes"})
      facts_[sum] = facts_[sum].get<int64_t>() + ranks[rank].at(sum).get<int64_t>();
    facts_["kv_bytes_per_token"] =
        facts_["kv_bytes_per_token"].get<double>() + ranks[rank].at("kv_bytes_per_token").get<double>();
  }
  for (Json& rank : ranks) {
    for (const Json& kernel : rank.at("kernels")) {
      facts_["kernels"].push_back(kernel);
      weights += kernel.at("weights").get<double>();
      bits += kernel.at("weights").get<double>() * kernel.at("bits_per_weight").get<double>();
    }
    rank = {{"weight_bytes_per_token", rank.at("weight_bytes_per_token")},
            {"resident_bytes", rank.at("resident_bytes")}};
  }
  facts_["bits_per_weight"] = bits / weights;
  facts_["ranks"] = std::move(ranks);
  state_->test.run();  // the first run touches everything for the first time
  own_peak_ = own_peak_rss();
}

RankedBench::~RankedBench() = default;

SpeedSample RankedBench::run() { return state_->test.run(); }

int64_t RankedBench::peak_rss() {
  state_->session.reset();
  int64_t highest = 0;
  const std::vector<std::string> peaks = comm_.gather(std::to_string(own_peak_));
  for (size_t rank = 0; rank < peaks.size(); ++rank) {
    const int64_t peak = std::stoll(peaks[rank]);
    facts_["ranks"][rank]["peak_rss"] = peak;
    highest = std::max(highest, peak);
  }
  return highest;
}

SpeedSample BenchWorker::run() { return to_sample(ask(kRun)); }
int64_t BenchWorker::peak_rss() { return ask(kPeak).at("peak").get<int64_t>(); }

}  // namespace pare
