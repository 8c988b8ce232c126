#include "serve/model_thread.h"

#include <algorithm>
#include <utility>

namespace pare {

void validate(const ModelThreadLimits& limits) {
  if (limits.parallel < 1) fail(ErrorCode::kUsage, "`parallel` is {}, expected 1 or more", limits.parallel);
  if (limits.context < 1) fail(ErrorCode::kUsage, "`context` is {}, expected 1 or more", limits.context);
  if (limits.queue < 1) fail(ErrorCode::kUsage, "`queue` is {}, expected 1 or more", limits.queue);
}

ModelThread::ModelThread(const std::vector<ServedModel>& models, const ModelThreadLimits& limits)
    : most_(limits.parallel + limits.queue), load_(models.size()) {
  validate(limits);
  for (const ServedModel& model : models)
    batches_.emplace_back(*model.packed, *model.tokenizer, limits.parallel, limits.context);
  thread_ = std::thread([this] { loop(); });
}

ModelThread::~ModelThread() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  arrived_.notify_one();
  thread_.join();
}

bool ModelThread::submit(size_t model, std::vector<BatchRequest> requests) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ModelLoad& load = load_[model];
    if (load.running + load.waiting >= most_) return false;
    load.waiting += static_cast<int64_t>(requests.size());
    for (BatchRequest& request : requests) arrivals_.push_back({model, std::move(request)});
  }
  arrived_.notify_one();
  return true;
}

std::vector<ModelLoad> ModelThread::load() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return load_;
}

bool ModelThread::idle() const {
  return std::all_of(load_.begin(), load_.end(),
                     [](const ModelLoad& load) { return load.running + load.waiting == 0; });
}

BatchRequest ModelThread::ending_later(BatchRequest request) {
  request.done = [this, done = std::move(request.done)](const Generation& generation) {
    ends_.emplace_back([done, generation] { done(generation); });
  };
  request.failed = [this, failed = std::move(request.failed)](const Error& error) {
    ends_.emplace_back([failed, error] { failed(error); });
  };
  return request;
}

void ModelThread::step(size_t model) {
  BatchGenerator& batch = batches_[model];
  batch.step();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const int64_t waiting = std::count_if(arrivals_.begin(), arrivals_.end(),
                                          [&](const Arrival& arrival) { return arrival.model == model; });
    load_[model] = {batch.running(), batch.unfinished() - batch.running() + waiting, batch.fullness()};
  }
  for (const auto& end : std::exchange(ends_, {})) end();
}

void ModelThread::loop() {
  while (true) {
    std::vector<Arrival> arrivals;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      arrived_.wait(lock, [this] { return stop_ || !idle(); });
      if (stop_) return;
      arrivals.swap(arrivals_);
    }
    for (Arrival& arrival : arrivals) batches_[arrival.model].add(ending_later(std::move(arrival.request)));
    for (size_t model = 0; model < batches_.size(); ++model) step(model);
  }
}

}  // namespace pare
