// The options of a compression that do not belong to a pass.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "io/output_folder.h"
#include "io/stored_weight.h"
#include "text/files/documents.h"

namespace pare {

struct CompressionOptions {
  std::string model;  // a folder or a .gguf file
  std::string out;    // a new folder
  // Files of text, and "self" for text that the model writes; the samples are spread over them.
  std::vector<std::string> calib = {"self"};
  int64_t nsamples = 64;          // calibration sequences
  int64_t seqlen = 1024;          // tokens of a sequence, at most the model's context
  uint64_t seed = 0;              // seed of all random choices
  std::optional<Encoding> dtype;  // type of the written matrices; int8: only linears of the layers
  StorageFormat format = StorageFormat::kPlain;
  std::optional<int64_t> memory;          // bytes that a process may use; none: half of the machine's
  Leftover leftover = Leftover::kRefuse;  // treatment of an interrupted run's work
  std::function<Documents(const std::string& path)> read_text = [](const std::string& path) {
    return read_documents(path);
  };
};

}  // namespace pare
