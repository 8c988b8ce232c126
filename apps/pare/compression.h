// What slice, sparsify and compress share: from a model and calibration text to a new folder.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/comm.h"
#include "compress/pass.h"

namespace pare {

struct CompressionOptions {
  std::string model;
  std::string out;
  std::vector<std::string> calib = {"self"};  // the samples are dealt over them
  int64_t nsamples = 64;
  int64_t seqlen = 1024;
  uint64_t seed = 0;
  std::optional<Encoding> dtype;  // int8: of the linears of the layers
  std::string format = "dense";
  std::optional<int64_t> memory;
  bool resume = false;
  bool restart = false;
  bool dry_run = false;
  bool json = false;
};

// MODEL, -o; then, after the options of the pass, the others.
void add_compression_paths(CLI::App& command, CompressionOptions& options);
void add_compression_options(CLI::App& command, CompressionOptions& options);

// Runs the passes and writes the result, or, with --dry-run, says what that would take. The ranks share the
// samples; the first writes and prints.
void run_compression(const CompressionOptions& options, const Passes& passes, Comm& comm);

}  // namespace pare
