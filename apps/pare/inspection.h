// What is in a model: the figures of `pare inspect`.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "model/model.h"

namespace pare {

// Consecutive blocks of equal shape (their widths inside, not at the edges, must agree).
struct BlockRange {
  int64_t first = 0;
  int64_t last = 0;
  BlockShape shape;
};

// All linears of one role and shape.
struct LinearGroup {
  std::string role;
  int64_t out = 0;
  int64_t in = 0;
  int64_t count = 0;
  std::string kernel_f32;
  std::string kernel_bf16;
  std::string kernel_int8;
};

struct RoleZeros {
  int64_t values = 0;
  int64_t zeros = 0;  // exactly 0
};

// What is stored in one encoding.
struct EncodingUse {
  int64_t matrices = 0;
  int64_t vectors = 0;
  int64_t values = 0;
  int64_t bytes = 0;
};

struct Inspection {
  std::string path;
  ModelConfig config;
  ModelSize size;
  std::vector<BlockRange> blocks;
  std::map<std::string, EncodingUse> encodings;
  std::vector<std::pair<std::string, RoleZeros>> zeros;  // by role, in model order
  std::vector<LinearGroup> linears;
  std::string isa;
  std::string tokenizer;  // what it is, or why there is none
};

Inspection inspect(const std::string& path);
Json to_json(const Inspection& inspection);
std::string to_text(const Inspection& inspection);

}  // namespace pare
