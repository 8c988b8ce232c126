// The trained values of a model: every tensor in f32, one behind another in one array.
#pragma once

#include <map>
#include <span>
#include <tuple>
#include <vector>

#include "model/model.h"
#include "model/visit.h"
#include "train/coded_rows.h"

namespace pare {

// A tensor's part of the array.
struct TrainedTensor {
  TensorPlace place;
  int64_t rows = 0;  // 1 for a vector
  int64_t cols = 0;
  int64_t offset = 0;

  int64_t size() const { return rows * cols; }
};

// Returns a tensor's part of an array, as a vector or as a matrix.
template <typename T>
std::span<T> part_in(std::span<T> array, const TrainedTensor& tensor) {
  return array.subspan(static_cast<size_t>(tensor.offset), static_cast<size_t>(tensor.size()));
}
template <typename T>
MatrixView<T> matrix_in(std::span<T> array, const TrainedTensor& tensor) {
  return {part_in(array, tensor).data(), tensor.rows, tensor.cols, tensor.cols};
}

// Returns the values of `origin`, which a weight was made of by rounding or training: they have its shape,
// and correlate with its own by half or more. Returns nothing otherwise, as of another basis or order.
Matrix<float> values_before(const Weight& weight, const Weight& origin);

// Where the tensors of a model lie in arrays of size() floats: values, gradients, moments. Matrices come
// first, so that those which read the same input follow on each other, then vectors, all in the order of
// for_each_tensor(), then the scales of matrices of codes.
//
// A matrix of codes has latent values in the array, which the model sees rounded (CodedRows). Any other is
// trained as f32.
class Parameters {
 public:
  explicit Parameters(const Model& model);

  int64_t size() const { return size_; }
  const std::vector<TrainedTensor>& tensors() const { return tensors_; }
  bool has(Role role, int64_t block, bool bias = false) const;
  const TrainedTensor& at(Role role, int64_t block, bool bias = false) const;
  // Returns whether a tensor holds the latent values, or the scales, of codes.
  bool is_coded(const TrainedTensor& tensor) const;
  bool is_scales(const TrainedTensor& tensor) const { return tensor.offset >= first_scale_; }

  // Decodes the model's tensors into an array. Latent values begin near those of `origin`
  // (CodedRows::begin) where it has the matrix that was rounded: one of the same shape in the same place,
  // whose values correlate with the rounded ones by half or more.
  void read(const Model& model, const Model& origin, std::span<float> values) const;
  // Returns the model as an array has it: matrices of floats share the array, which must outlive the model,
  // matrices of codes and vectors are as refresh() makes them.
  Model view(const Model& model, std::span<const float> values) const;
  // Takes the vectors, and the matrices of codes, of a model that view() returned from its array once more.
  void refresh(Model& model, std::span<const float> values) const;
  // Makes the gradient at the weights that the model sees that at the array.
  void adjoint(std::span<const float> values, std::span<float> gradient) const;

 private:
  using Key = std::tuple<Role, int64_t, bool>;
  struct Coded {
    TrainedTensor latent;
    TrainedTensor log_scales;
    CodedRows rows;
  };

  void add(const TensorPlace& place, int64_t rows, int64_t cols);

  std::vector<TrainedTensor> tensors_;
  std::map<Key, size_t> index_;
  std::map<int64_t, Coded> coded_;  // matrices of codes, by the offsets of their latent values
  int64_t first_scale_ = 0;
  int64_t size_ = 0;
};

}  // namespace pare
