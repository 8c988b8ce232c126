#include "serve/engine.h"

#include <algorithm>

namespace pare {

Engine::Engine(const std::vector<ServedModel>& models, const EngineLimits& limits)
    : most_(limits.parallel + limits.queue), unfinished_(models.size(), 0) {
  if (limits.queue < 1) fail(ErrorCode::kUsage, "--queue is {}, expected 1 or more", limits.queue);
  for (const ServedModel& model : models)
    batches_.emplace_back(*model.packed, *model.tokenizer, limits.parallel, limits.context);
  thread_ = std::thread([this] { loop(); });
}

Engine::~Engine() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  arrived_.notify_one();
  thread_.join();
}

bool Engine::submit(size_t model, std::vector<BatchRequest> requests) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto arriving = static_cast<int64_t>(requests.size());
    if (unfinished_[model] + arriving > most_) return false;
    unfinished_[model] += arriving;
    for (BatchRequest& request : requests) arrivals_.push_back({model, std::move(request)});
  }
  arrived_.notify_one();
  return true;
}

bool Engine::idle() const {
  return std::all_of(unfinished_.begin(), unfinished_.end(), [](int64_t n) { return n == 0; });
}

void Engine::loop() {
  while (true) {
    std::vector<Arrival> arrivals;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      arrived_.wait(lock, [this] { return stop_ || !idle(); });
      if (stop_) return;
      arrivals.swap(arrivals_);
    }
    for (Arrival& arrival : arrivals) batches_[arrival.model].add(std::move(arrival.request));
    for (BatchGenerator& batch : batches_) batch.step();
    const std::lock_guard<std::mutex> lock(mutex_);
    for (size_t i = 0; i < batches_.size(); ++i) unfinished_[i] = batches_[i].unfinished();
    for (const Arrival& arrival : arrivals_) ++unfinished_[arrival.model];
  }
}

}  // namespace pare
