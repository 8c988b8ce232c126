// Keys and values in the host's memory.
#pragma once

#include <span>
#include <variant>
#include <vector>

#include "base/bf16.h"
#include "kernels/kv_store.h"
#include "tensor/matrix.h"

namespace pare {

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

// Keys and values of a sequence, by KV head.
struct HostKvStore final : KvStore {
  HostKvStore(const AttentionShape& shape, int64_t capacity);
  int64_t bytes() const override;

  std::vector<KvRows> keys;
  std::vector<KvRows> values;
};

// The store of a segment, which a host backend has made.
HostKvStore& host_store(const Segment& segment);
// Runs Backend::append on stores of the host. k (rows, keys_width), v (rows, values_width).
void append_to_stores(std::span<const Segment> segments, MatrixView<const float> k,
                      MatrixView<const float> v);

}  // namespace pare
