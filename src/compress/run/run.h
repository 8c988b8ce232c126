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

// Needs of a run on each rank, and the limits of the machine.
struct CompressionCost {
  Needs needs;
  int64_t memory_limit = 0;  // bytes that may be used
  int64_t disk_free = 0;     // free bytes where the output goes
  double seconds = 0.0;      // estimate from one layer that is measured now

  // Returns whether activations stay on disk only.
  bool spills() const { return needs.memory + needs.activations > memory_limit; }
};

// Callbacks of a run.
struct RunWatch {
  PassProgress progress = {};
  // Called once, when an interrupted run can be continued from here on.
  std::function<void()> resumable = {};
};

struct CompressionResult {
  Json manifest;  // content of pare.json
  Report report;
  // True if an interrupted run had finished all but the name of the folder, so that there is no report.
  bool was_finished = false;
};

// Returns the needs of the run, and throws what run_compression() would throw before it works. Writes
// nothing. On another rank than the first, the cost is left empty.
CompressionCost cost_of_compression(const CompressionOptions& options, const Passes& passes, Comm& comm);

// Runs the passes and writes the result. The ranks share the samples; the first writes. Throws kUsage for
// options that do not go together, kInvalid for limits of the model, the memory or the disk, and as
// load_model(), the passes and write_compressed() do.
CompressionResult run_compression(const CompressionOptions& options, const Passes& passes, Comm& comm,
                                  const RunWatch& watch = {});

}  // namespace pare
