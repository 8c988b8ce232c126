// What config.json says about how a folder stores its matrices: its "quantization_config".
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "io/stored_weight.h"

namespace pare {

struct Storage {
  StorageFormat format = StorageFormat::kPlain;
  // With kPacked, the matrices that are stored in parts, by tensor name ("X.weight"), as packed_matrix takes
  // them: where only a pattern is stated, the encoding is f32, and the values tell what they are.
  std::map<std::string, WeightFormat> packed;
};

// Throws kFormat, and kUnsupported naming a method or format that pare does not read.
Storage read_storage(const Json& config);

// The "quantization_config" of each format. `int8`: those of the packed matrices that are int8 with a scale a
// row. `dense`: the linear layers that are not stored 2:4, as modules ("X" of "X.weight").
Json packed_config(const std::map<std::string, WeightFormat>& packed, const std::vector<std::string>& int8);
Json bitmask_config(const std::vector<std::string>& dense);

}  // namespace pare
