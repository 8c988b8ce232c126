// The trained values of a model: every tensor in f32, one behind another in one array.
#pragma once

#include <map>
#include <span>
#include <tuple>
#include <vector>

#include "base/aligned_buffer.h"
#include "model/model.h"
#include "model/visit.h"

namespace pare {

// A tensor's part of the array.
struct TrainedTensor {
  TensorPlace place;
  int64_t rows = 0;  // 1 for a vector
  int64_t cols = 0;
  int64_t offset = 0;

  int64_t size() const { return rows * cols; }
};

// Where the tensors of a model lie in arrays of size() floats: values, gradients, moments. Matrices come
// first, so that those which read the same input follow on each other, then vectors, all in the order of
// for_each_tensor().
class Parameters {
 public:
  explicit Parameters(const Model& model);

  int64_t size() const { return size_; }
  const std::vector<TrainedTensor>& tensors() const { return tensors_; }
  bool has(Role role, int64_t block, bool bias = false) const;
  const TrainedTensor& at(Role role, int64_t block, bool bias = false) const;

  // Decodes the model's tensors into an array.
  void read(const Model& model, std::span<float> values) const;
  // Returns the model with matrices that share the array, which must outlive it, and with copies of the
  // vectors.
  Model view(const Model& model, std::span<const float> values) const;
  // Takes the vectors of the model from the array once more.
  void refresh_vectors(Model& model, std::span<const float> values) const;

 private:
  using Key = std::tuple<Role, int64_t, bool>;
  std::vector<TrainedTensor> tensors_;
  std::map<Key, size_t> index_;
  int64_t size_ = 0;
};

// Returns a tensor's part of an array, as a matrix or as a vector.
MatrixView<float> matrix_in(std::span<float> array, const TrainedTensor& tensor);
MatrixView<const float> matrix_in(std::span<const float> array, const TrainedTensor& tensor);
template <typename T>
std::span<T> part_in(std::span<T> array, const TrainedTensor& tensor) {
  return array.subspan(static_cast<size_t>(tensor.offset), static_cast<size_t>(tensor.size()));
}

}  // namespace pare
