// One model measured in a process of its own, so that its peak memory is its own.
#pragma once

#include <sys/types.h>

#include <cstdio>
#include <string>

#include "base/json.h"
#include "engine/speed.h"

namespace pare {

struct BenchModel {
  std::string path;
  ComputeType compute = ComputeType::kBF16;
  SpeedOptions speed;
};

// The requests and answers are lines of text between the processes; an error in the child is thrown here.
class BenchWorker {
 public:
  // Forks; the child loads the model. Call before this process has started threads.
  explicit BenchWorker(const BenchModel& model);
  ~BenchWorker();
  BenchWorker(const BenchWorker&) = delete;
  BenchWorker& operator=(const BenchWorker&) = delete;

  // Figures that do not change: parameters, bytes.
  const Json& facts() const { return facts_; }
  SpeedSample run();
  // Seconds the linears alone need, once for a prefill and once for a token.
  SpeedSample run_linears();
  // Highest resident memory of the child so far.
  int64_t peak_rss();

 private:
  Json ask(const std::string& request);
  Json receive();

  std::string path_;
  pid_t pid_ = -1;
  std::FILE* channel_ = nullptr;
  Json facts_;
};

}  // namespace pare
