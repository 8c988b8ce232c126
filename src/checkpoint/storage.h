// Storage of a folder's matrices, as config.json states it in "quantization_config".
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "io/stored_weight.h"

namespace pare {

struct Storage {
  StorageFormat format = StorageFormat::kPlain;
  // Matrices that kPacked stores in parts, by tensor name ("X.weight"), with the format that packed_matrix
  // takes: where only a pattern is stated, the encoding is f32, and the values tell the type.
  std::map<std::string, WeightFormat> packed;
  // kPackQuantized: the format of every matrix that is stored in parts; their tensors tell the type of
  // scales.
  WeightFormat quantized = {};
};

// Reads "quantization_config". Throws kFormat, and kUnsupported naming a method or format pare does not read.
Storage read_storage(const Json& config);

// Writes the "quantization_config" of each format. `int8`: packed matrices that are int8 with a scale a
// row. `dense`: the linear layers that are not stored in parts, as modules ("X" of "X.weight"). `format`:
// int4 without zero points.
Json packed_config(const std::map<std::string, WeightFormat>& packed, const std::vector<std::string>& int8);
Json bitmask_config(const std::vector<std::string>& dense);
Json pack_quantized_config(const WeightFormat& format, const std::vector<std::string>& dense);

}  // namespace pare
