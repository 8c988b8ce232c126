// Keys and values of the tokens seen so far, one sequence.
#pragma once

#include <memory>
#include <vector>

#include "runtime/packed_model.h"

namespace pare {

// Bytes that all stages keep of a token.
int64_t cache_bytes_of_token(const ModelConfig& config, ComputeType compute);

using KvStores = std::vector<std::unique_ptr<KvStore>>;
// Room for `capacity` tokens of each of `sequences` in the attention of a stage; empty when it has none.
KvStores kv_of(const PackedStage& stage, int64_t sequences, int64_t capacity);

class RemoteCache;

class KvCache {
 public:
  // Makes room for `capacity` tokens, on other ranks too where a part of the model is there.
  KvCache(const PackedModel& model, int64_t capacity);

  int64_t capacity() const { return capacity_; }
  int64_t length() const { return length_; }  // tokens held
  // Forgets all tokens from `length` on.
  void truncate(int64_t length);
  void advance(int64_t tokens);
  // Cache of stage `index` (null when the stage has no attention).
  KvStore* layer(size_t index) { return layers_[index].empty() ? nullptr : layers_[index].front().get(); }
  int64_t bytes() const;  // bytes held on this rank
  // The caches of the sequence on other ranks; null: there are none.
  const RemoteCache* remote() const { return remote_.get(); }

 private:
  std::vector<KvStores> layers_;  // stores by stage: none or one
  std::shared_ptr<RemoteCache> remote_;
  int64_t capacity_ = 0;
  int64_t length_ = 0;
};

}  // namespace pare
