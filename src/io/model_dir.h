// The weights of a Hugging Face model folder: one safetensors file, or shards with an index.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "io/safetensors.h"

namespace pare {

struct ModelTensors {
  TensorMap tensors;
  std::vector<SkippedTensor> skipped;
};

// Opens model.safetensors, else the shards of model.safetensors.index.json, else all of a set of shards
// without an index. Throws kNotFound when the folder, the weights, a shard or an indexed tensor is missing,
// kUnsupported when there are only other kinds of weights, kFormat for broken files.
ModelTensors read_model_tensors(const std::filesystem::path& folder);

// Returns the values of one planned tensor; called once for each, in plan order.
using TensorProducer = std::function<Weight(const TensorPlan&)>;

inline constexpr uint64_t kDefaultShardBytes = 5'000'000'000;

// Writes model.safetensors, or, when the tensors exceed max_shard_bytes, model-00001-of-0000N.safetensors and
// last the index. Tensors keep the order of the plan; each is converted to its planned encoding. Throws kIo,
// also when the free space does not suffice.
void write_model_tensors(const std::filesystem::path& folder, const std::vector<TensorPlan>& plan,
                         const TensorProducer& producer, uint64_t max_shard_bytes = kDefaultShardBytes);

// Returns the bytes of all files that write_model_tensors() writes.
uint64_t model_tensors_bytes(const std::vector<TensorPlan>& plan,
                             uint64_t max_shard_bytes = kDefaultShardBytes);

// Returns whether a file of a model folder holds weights, or says which file does.
bool is_weight_file(const std::filesystem::path& file);

}  // namespace pare
