#include "runtime/pipeline.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "model/visit.h"
#include "runtime/forward.h"

namespace pare {
namespace {

enum Request : int64_t { kStop, kForward, kLogits };

// Request of the first rank to another. `steps` RemoteSteps and `closed` ids of caches follow it.
struct Header {
  int64_t request = kStop;
  int64_t model = 0;
  int64_t rows = 0;
  int64_t width = 0;  // width of the rows that the first rank sends
  int64_t steps = 0;
  int64_t closed = 0;
};

template <typename T>
std::span<std::byte> bytes_of(std::vector<T>& values) {
  return std::as_writable_bytes(std::span(values));
}

void send(Comm& comm, int to, const Matrix<float>& x) {
  comm.send(to, std::as_bytes(std::span(x.data(), static_cast<size_t>(x.size()))));
}

void send(Comm& comm, int to, Activation x) { send(comm, to, download(std::move(x)).matrix()); }

Matrix<float> receive(Comm& comm, int from, int64_t rows, int64_t cols) {
  Matrix<float> x(rows, cols);
  comm.receive(from, pare::bytes_of(x.data(), x.size()));
  return x;
}

int64_t bytes_of(const Block& block) {
  int64_t bytes = 0;
  for (const Stage& stage : block.stages) {
    bytes += stage.skip.bytes();
    for_each_linear(stage, [&](Role, const Linear& linear) { bytes += linear.weight.bytes(); });
  }
  return bytes;
}

// Serves a rank other than the first until it is told to stop.
class StageServer {
 public:
  StageServer(Comm& comm, std::span<const PackedModel* const> models) : comm_(comm), models_(models) {
    caches_.resize(models.size());
  }

  void run() {
    while (true) {
      Header header;
      comm_.receive(0, pare::bytes_of(&header, 1));
      if (header.request == kStop) return;
      if (header.request == kForward)
        forward(header);
      else
        logits(header);
    }
  }

 private:
  bool is_last() const { return comm_.rank() + 1 == comm_.size(); }

  void forward(const Header& header) {
    std::vector<RemoteStep> remote(static_cast<size_t>(header.steps));
    std::vector<int64_t> closed(static_cast<size_t>(header.closed));
    comm_.receive(0, bytes_of(remote));
    comm_.receive(0, bytes_of(closed));
    const PackedModel& model = *models_[static_cast<size_t>(header.model)];
    std::map<int64_t, KvCache>& caches = caches_[static_cast<size_t>(header.model)];
    for (const int64_t id : closed) caches.erase(id);
    std::vector<CacheStep> steps;
    for (const RemoteStep& step : remote) {
      KvCache& cache = caches.try_emplace(step.id, model, step.capacity).first->second;
      cache.truncate(step.first);
      steps.push_back({step.tokens, &cache});
    }
    const int64_t width = model.stages.front().width_in;
    const Backend& on = *model.stages.front().backend;
    Activation x = run_stages(model, steps, on.upload(receive(comm_, comm_.rank() - 1, header.rows, width)));
    if (is_last()) x = finish_hidden(model, x);
    send(comm_, is_last() ? 0 : comm_.rank() + 1, x);
  }

  void logits(const Header& header) {
    const PackedModel& model = *models_[static_cast<size_t>(header.model)];
    send(comm_, 0,
         logits_of(model, model.head.backend->upload(receive(comm_, 0, header.rows, header.width))));
  }

  Comm& comm_;
  std::span<const PackedModel* const> models_;
  std::vector<std::map<int64_t, KvCache>> caches_;  // caches of each model by id
};

}  // namespace

std::vector<Placement> split_blocks(const Model& model, int ranks) {
  const size_t count = model.blocks.size();
  if (static_cast<size_t>(ranks) > count)
    fail(ErrorCode::kUsage, "the model has {} layers, too few for {} ranks", count, ranks);
  std::vector<int64_t> until = {0};  // bytes before each block
  for (const Block& block : model.blocks) until.push_back(until.back() + bytes_of(block));
  until.back() += model.head_weight().bytes();
  // least[r][b]: the largest share when the first b blocks are split over r ranks; from[r][b]: where the last
  // one begins.
  constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  const auto rows = static_cast<size_t>(ranks) + 1;
  std::vector<std::vector<int64_t>> least(rows, std::vector<int64_t>(count + 1, kNone));
  std::vector<std::vector<size_t>> from(rows, std::vector<size_t>(count + 1, 0));
  least[0][0] = 0;
  for (size_t r = 1; r < rows; ++r)
    for (size_t b = r; b <= count; ++b)
      for (size_t begin = r - 1; begin < b; ++begin) {
        if (least[r - 1][begin] == kNone) continue;
        const int64_t largest = std::max(least[r - 1][begin], until[b] - until[begin]);
        if (largest >= least[r][b]) continue;
        least[r][b] = largest;
        from[r][b] = begin;
      }
  std::vector<Placement> shares(static_cast<size_t>(ranks));
  size_t end = count;
  for (size_t r = shares.size(); r > 0; --r) {
    shares[r - 1].begin = from[r][end];
    shares[r - 1].end = end;
    end = shares[r - 1].begin;
  }
  return shares;
}

Model part_of(const Model& model, const Placement& share) {
  Model part = model;
  const bool has_head = share.end == model.blocks.size();
  for (size_t b = 0; b < part.blocks.size(); ++b)
    if (b < share.begin || b >= share.end) part.blocks[b].stages.clear();
  if (share.begin > 0) {
    part.positions = {};
    if (!has_head || !model.head.empty()) part.embedding = {};
  }
  if (!has_head) {
    part.head = {};
    part.head_transform = {};
    part.head_bias.clear();
  }
  return part;
}

RemoteCache::RemoteCache(std::shared_ptr<Pipeline> pipeline)
    : pipeline_(std::move(pipeline)), id_(pipeline_->open_cache()) {}

RemoteCache::~RemoteCache() { pipeline_->close_cache(id_); }

Pipeline::Pipeline(Comm& comm, int64_t model, int64_t hidden_width, int64_t vocab)
    : comm_(comm), model_(model), hidden_width_(hidden_width), vocab_(vocab) {}

Matrix<float> Pipeline::forward(std::span<const RemoteStep> steps, const Matrix<float>& x) {
  Header header{kForward,
                model_,
                x.rows(),
                x.cols(),
                static_cast<int64_t>(steps.size()),
                static_cast<int64_t>(closed_.size())};
  for (int to = 1; to < comm_.size(); ++to) {
    comm_.send(to, pare::bytes_of(&header, 1));
    comm_.send(to, std::as_bytes(steps));
    comm_.send(to, bytes_of(closed_));
  }
  closed_.clear();
  send(comm_, 1, x);
  return receive(comm_, comm_.size() - 1, x.rows(), hidden_width_);
}

Matrix<float> Pipeline::logits(MatrixView<const float> hidden) {
  Header header{kLogits, model_, hidden.rows, hidden.cols, 0, 0};
  const int last = comm_.size() - 1;
  comm_.send(last, pare::bytes_of(&header, 1));
  send(comm_, last, copy_of(hidden));
  return receive(comm_, last, hidden.rows, vocab_);
}

void serve_stages(Comm& comm, std::span<const PackedModel* const> models) { StageServer(comm, models).run(); }

PipelineSession::~PipelineSession() {
  try {
    Header stop;
    for (int to = 1; to < comm_.size(); ++to) comm_.send(to, pare::bytes_of(&stop, 1));
  } catch (const Error&) {
    // A destructor must not throw: the job ends anyway.
  }
}

}  // namespace pare
