// The thread that runs the models for all connections.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/batch.h"
#include "serve/served_model.h"

namespace pare {

struct ModelThreadLimits {
  int64_t parallel = 4;    // sequences of a model that run side by side
  int64_t context = 4096;  // tokens of each sequence, at most the model's
  int64_t queue = 64;  // sequences of a model that wait; a request that finds room has all of its own wait
};

// Load of one model.
struct ModelLoad {
  int64_t running = 0;    // sequences
  int64_t waiting = 0;    // sequences
  double fullness = 0.0;  // share of the room for keys and values that is in use
};

// Throws kUsage for limits below 1.
void validate(const ModelThreadLimits& limits);

// One batch a model; models with work take turns, a step each.
class ModelThread {
 public:
  // `models` must outlive the model thread. Throws kUsage for limits below 1.
  ModelThread(const std::vector<ServedModel>& models, const ModelThreadLimits& limits);
  // Stops the thread. Unfinished sequences never end: none of their functions is called any more.
  ~ModelThread();
  ModelThread(const ModelThread&) = delete;
  ModelThread& operator=(const ModelThread&) = delete;

  // Hands sequences to a model; their functions are called on the model thread. load() no longer counts a
  // sequence when its done() or failed() is called. Returns false, and takes none of them, when too many wait
  // already. Safe to call from several threads.
  bool submit(size_t model, std::vector<BatchRequest> requests);
  // The load of each model, as of the last step. Safe to call from several threads.
  std::vector<ModelLoad> load();

 private:
  struct Arrival {
    size_t model;
    BatchRequest request;
  };

  void loop();
  bool idle() const;  // mutex_ is held
  // Returns the request with done() and failed() that only add to ends_.
  BatchRequest ending_later(BatchRequest request);
  // Does a step of a model's batch, updates the model's load, then calls what the step has put into ends_.
  void step(size_t model);

  int64_t most_;                             // unfinished sequences of a model that leave no room for more
  std::deque<BatchGenerator> batches_;       // by model; used on the model thread only
  std::vector<std::function<void()>> ends_;  // done() and failed() of a step; used on the model thread only
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<Arrival> arrivals_;  // guarded by mutex_
  std::vector<ModelLoad> load_;    // by model, as of the last step, arrivals included; guarded by mutex_
  bool stop_ = false;              // guarded by mutex_
  std::thread thread_;
};

}  // namespace pare
