// Shared parts of backends that compute in the host's memory: activations, norms and tables are host values.
#pragma once

#include "kernels/backend.h"

namespace pare {

struct HostNorm final : PackedNorm {
  explicit HostNorm(const Norm& values) : norm(values) {}
  Norm norm;
};

// Rows are decoded when they are read: the table stays as it is in the file.
struct HostRowTable final : RowTable {
  explicit HostRowTable(const Weight& values) : RowTable(values), weight(values) {}
  Weight weight;
};

// Returns the type that products of a weight are computed with: `compute`, or what kStored means for it.
ComputeType compute_of(const Weight& weight, ComputeType compute);

// Neighbouring weights of a stack that products see alike: of one type and, for kStored, one low-bit format.
struct StackPart {
  std::span<const Weight> weights;
  ComputeType compute;
};
// Cuts a stack into parts. Each has the type of the whole, or what kStored means for its weights.
std::vector<StackPart> parts_of(std::span<const Weight> stack, ComputeType compute);

class HostBackend : public Backend {
 public:
  Activation allocate(int64_t rows, int64_t cols) const final;
  Activation upload(Matrix<float> x) const final;
  Activation borrow(MatrixView<const float> x) const final;
  HostRows download(Activation x) const final;
  std::unique_ptr<PackedNorm> pack_norm(const Norm& norm) const final;
  std::unique_ptr<RowTable> pack_rows(const Weight& table) const final;
  std::unique_ptr<KvStore> make_kv(const AttentionShape& shape, int64_t capacity) const final;
  void copy(const Activation& x, const Activation& y) const final;
  void gather(const RowTable& table, std::span<const int64_t> rows, const Activation& y) const final;
  void append(const AttentionShape& shape, std::span<const Segment> segments, const Activation& k,
              const Activation& v) const final;
  void bias_adjoint(const Activation& dy, std::span<float> db) const final;
  void norm_weight_adjoint(const PackedNorm& norm, const Activation& x, const Activation& dy, int64_t width,
                           std::span<float> dw, std::span<float> db) const final;
  void gather_adjoint(std::span<const int64_t> rows, const Activation& dy,
                      MatrixView<float> dtable) const final;

 protected:
  // Returns the values of an activation of this backend.
  MatrixView<float> rows_of(const Activation& x) const;
};

}  // namespace pare
