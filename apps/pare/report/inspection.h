// Figures of a model for `pare inspect`.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "model/model.h"
#include "model/storage_facts.h"

namespace pare {

// Consecutive blocks of equal shape (their widths inside, not at the edges, must agree).
struct BlockRange {
  int64_t first = 0;
  int64_t last = 0;
  BlockShape shape;
};

// All linears of one role, shape and pattern of the values.
struct LinearGroup {
  std::string role;
  int64_t out = 0;
  int64_t in = 0;
  Pattern pattern;  // as kernels see it: 2:4 or dense
  int64_t count = 0;
  std::string kernel_f32;
  std::string kernel_bf16;
  std::string kernel_int8;
  std::string kernel_stored;
};

// Tensors that are stored in one encoding.
struct EncodingUse {
  int64_t matrices = 0;
  int64_t vectors = 0;
  int64_t values = 0;  // stored values: of an N:M matrix the kept ones
  int64_t bytes = 0;
};

struct Inspection {
  std::string path;
  ModelConfig config;
  ModelSize size;
  std::vector<BlockRange> blocks;
  std::map<std::string, EncodingUse> encodings;
  std::vector<MatrixFacts> matrices;  // in model order
  std::vector<RoleSize> roles;
  std::vector<LinearGroup> linears;
  std::string isa;
  std::string tokenizer;  // its description, or why there is none
  std::vector<std::string> disagreements;
};

Inspection inspect(const std::string& path);
Json to_json(const Inspection& inspection);
std::string to_text(const Inspection& inspection);

}  // namespace pare
