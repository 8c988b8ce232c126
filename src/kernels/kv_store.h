// Keys and values of sequences, kept where a backend computes.
#pragma once

#include <cstdint>

#include "kernels/linear.h"

namespace pare {

struct AttentionShape {
  int64_t heads = 0;                        // heads of queries
  int64_t kv_heads = 0;                     // heads of keys and values; divides `heads`
  int64_t head_dim = 0;                     // width of a head of queries or keys
  int64_t value_head_dim = 0;               // width of a head of values
  ComputeType compute = ComputeType::kF32;  // type of scores and values

  int64_t queries_width() const { return heads * head_dim; }
  int64_t keys_width() const { return kv_heads * head_dim; }
  int64_t values_width() const { return kv_heads * value_head_dim; }
  int64_t context_width() const { return heads * value_head_dim; }
};

// Returns whether keys and values are rounded to bf16: wherever products are not f32.
inline bool narrow_cache(ComputeType compute) { return compute != ComputeType::kF32; }

// Keys and values of one sequence in one attention. Made by Backend::make_kv for a number of tokens.
class KvStore {
 public:
  virtual ~KvStore() = default;
  virtual int64_t bytes() const = 0;
};

// Consecutive tokens of one sequence inside a batch of rows.
struct Segment {
  int64_t begin = 0;  // first row of the batch
  int64_t rows = 0;
  int64_t first = 0;      // position of that row in its sequence
  KvStore* kv = nullptr;  // keys and values of the sequence; null where a stage has no attention
};

}  // namespace pare
