// A whole compression: from a model and calibration text to a new folder.
#pragma once

#include <functional>
#include <string>

#include "base/comm.h"
#include "compress/passes.h"
#include "compress/progress.h"
#include "compress/report.h"
#include "compress/run/options.h"

namespace pare {

// What a run takes of each rank, and what there is.
struct CompressionCost {
  Needs needs;
  int64_t memory_limit = 0;  // bytes that may be used
  int64_t disk_free = 0;     // bytes where the output goes
  double seconds = 0.0;      // about, from one layer measured now

  // Whether activations stay on disk only.
  bool spills() const { return needs.memory + needs.activations > memory_limit; }
};

// What is told while a run goes on.
struct RunWatch {
  PassProgress progress = {};
  // Called once: from here on an interrupted run can be continued.
  std::function<void()> resumable = {};
};

struct CompressionResult {
  Json manifest;  // what pare.json holds
  Report report;
  // An interrupted run had finished all but the name of the folder, so that there is no report.
  bool was_finished = false;
};

// Refuses what run_compression() would refuse before it works, and says what the run would take. Writes
// nothing. On another rank than the first, the cost is left empty.
CompressionCost cost_of_compression(const CompressionOptions& options, const Passes& passes, Comm& comm);

// Runs the passes and writes the result. The ranks share the samples; the first writes. Throws kUsage for
// options that do not go together, kInvalid for what the model, the memory or the disk does not allow, and as
// load_model(), the passes and write_compressed() do.
CompressionResult run_compression(const CompressionOptions& options, const Passes& passes, Comm& comm,
                                  const RunWatch& watch = {});

}  // namespace pare
