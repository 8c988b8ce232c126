// Keys and values of the tokens seen so far, one sequence.
#pragma once

#include <variant>
#include <vector>

#include "base/bf16.h"
#include "runtime/packed_model.h"
#include "tensor/matrix.h"

namespace pare {

// Whether keys and values are rounded to bf16: wherever products are not f32.
inline bool narrow_cache(ComputeType compute) { return compute != ComputeType::kF32; }

// What all stages keep of a token, in bytes.
int64_t cache_bytes_of_token(const ModelConfig& config, ComputeType compute);

// Keys or values of one head, (capacity, dim): bf16 where narrow_cache() says so, else f32.
class KvRows {
 public:
  KvRows(int64_t capacity, int64_t dim, ComputeType compute);

  int64_t capacity() const;
  int64_t dim() const;
  int64_t bytes() const;
  void set(int64_t row, const float* x);
  // Calls body with the Matrix<float> or Matrix<bf16>.
  template <typename Body>
  void visit(Body&& body) const {
    std::visit(body, rows_);
  }

 private:
  std::variant<Matrix<float>, Matrix<bf16>> rows_;
};

// Cache of one attention, by KV head.
struct KvLayer {
  std::vector<KvRows> keys;
  std::vector<KvRows> values;

  KvLayer(const PackedAttention& attention, int64_t capacity);
  int64_t bytes() const;
};

// Room for `capacity` tokens of each of `sequences` in the attention of a stage; empty when it has none.
std::vector<KvLayer> kv_of(const PackedStage& stage, int64_t sequences, int64_t capacity);

// Consecutive tokens of one sequence inside a batch of rows.
struct Segment {
  int64_t begin = 0;  // first row of the batch
  int64_t rows = 0;
  int64_t first = 0;      // position of that row in its sequence
  KvLayer* kv = nullptr;  // the sequence's cache of this stage; null for a stage without attention
};

class RemoteCache;

class KvCache {
 public:
  // Room for `capacity` tokens, on other ranks too where a part of the model is there.
  KvCache(const PackedModel& model, int64_t capacity);

  int64_t capacity() const { return capacity_; }
  int64_t length() const { return length_; }  // tokens held
  // Forgets all tokens from `length` on.
  void truncate(int64_t length);
  void advance(int64_t tokens);
  // Cache of stage `index` (null when the stage has no attention).
  KvLayer* layer(size_t index) { return layers_[index].empty() ? nullptr : &layers_[index].front(); }
  int64_t bytes() const;  // on this rank
  // The caches of the sequence on other ranks; null: there are none.
  const RemoteCache* remote() const { return remote_.get(); }

 private:
  std::vector<std::vector<KvLayer>> layers_;  // by stage: none or one
  std::shared_ptr<RemoteCache> remote_;
  int64_t capacity_ = 0;
  int64_t length_ = 0;
};

}  // namespace pare
