// Shared command line of slice, sparsify and compress: options, messages and output.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "base/comm.h"
#include "compress/run/run.h"

namespace pare {

struct CompressionRequest {
  CompressionOptions options;
  std::string format = "dense";
  bool resume = false;
  bool restart = false;
  bool dry_run = false;
  bool json = false;
};

// Adds MODEL and -o; then, after the options of the pass, the others.
void add_compression_paths(CLI::App& command, CompressionRequest& request);
// `storage`: with those that say how the result is stored.
void add_compression_options(CLI::App& command, CompressionRequest& request, bool storage = true);

// Runs the passes and prints what they did, or, with --dry-run, what they would take. The first rank prints.
void compress(const CompressionRequest& request, const Passes& passes, Comm& comm);

}  // namespace pare
