// One model measured in processes that run nothing else, so that its peak memory is its own.
#pragma once

#include <sys/types.h>

#include <cstdio>
#include <memory>
#include <string>

#include "base/comm.h"
#include "base/json.h"
#include "runtime/speed.h"

namespace pare {

struct BenchModel {
  std::string path;
  ComputeType compute = ComputeType::kStored;
  SpeedOptions speed;
  bool profile = false;  // measure the time in linears, too
};

// A model that is measured.
class BenchSubject {
 public:
  virtual ~BenchSubject() = default;
  // Figures that do not change: parameters, bytes.
  virtual const Json& facts() const = 0;
  virtual SpeedSample run() = 0;
  // Returns the highest resident memory so far.
  virtual int64_t peak_rss() = 0;
};

// A model in a child process. Requests and answers are lines of text; an error in the child is thrown in the
// parent.
class BenchWorker final : public BenchSubject {
 public:
  // Forks; the child loads the model. Call before this process has started threads.
  explicit BenchWorker(const BenchModel& model);
  ~BenchWorker() override;
  BenchWorker(const BenchWorker&) = delete;
  BenchWorker& operator=(const BenchWorker&) = delete;

  const Json& facts() const override { return facts_; }
  SpeedSample run() override;
  int64_t peak_rss() override;

 private:
  Json ask(const std::string& request);
  Json receive();

  std::string path_;
  pid_t pid_ = -1;
  std::FILE* channel_ = nullptr;
  Json facts_;
};

// A model whose blocks are spread over ranks, in this process and its peers.
class RankedBench final : public BenchSubject {
 public:
  // Loads this rank's share. On the other ranks the constructor returns when the first one has measured.
  RankedBench(const BenchModel& model, Comm& comm);
  ~RankedBench() override;

  const Json& facts() const override { return facts_; }
  SpeedSample run() override;
  // Returns the highest peak of a rank; facts()["ranks"] gets that of each. Ends the others' work.
  int64_t peak_rss() override;

 private:
  struct State;
  Comm& comm_;
  std::unique_ptr<State> state_;
  Json facts_;
  int64_t own_peak_ = 0;  // peak of this process before the model's work
};

}  // namespace pare
