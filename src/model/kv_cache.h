// Keys and values of the tokens seen so far, one sequence.
#pragma once

#include <vector>

#include "model/packed_model.h"
#include "tensor/matrix.h"

namespace pare {

// Cache of one attention: per KV head, (capacity, head_dim) keys and (capacity, value_head_dim) values.
struct KvLayer {
  std::vector<Matrix<float>> keys;    // by KV head
  std::vector<Matrix<float>> values;  // by KV head

  KvLayer(const PackedAttention& attention, int64_t capacity);
};

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
