// Builds a Model from named tensors: one builder for every file format.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "checkpoint/arch/architecture.h"
#include "checkpoint/storage.h"
#include "io/tensor_file.h"
#include "model/model.h"

namespace pare {

enum class TensorNaming { kHuggingFace, kGguf };

// The tensors of a model's files.
struct TensorSource {
  std::string what;  // names the file or folder in messages
  const TensorMap& tensors;
  std::span<const SkippedTensor> skipped;
  TensorNaming naming;
  Storage storage = {};
};

// Assembles the model that `config` describes. Every tensor it needs must be there in the right shape and a
// type that pare reads (kNotFound, kFormat, kUnsupported); a bias the config does not have is an error, other
// surplus tensors are logged.
Model build_model(const Architecture& architecture, const ModelConfig& config, const TensorSource& source);

// Row order that turns GGUF's interleaved rotary layout (pairs 2i, 2i+1) into rotate-half (i, i + half), per
// head, and its inverse.
std::vector<int64_t> rotate_half_order(int64_t heads, int64_t head_dim);
std::vector<int64_t> interleaved_order(int64_t heads, int64_t head_dim);

}  // namespace pare
