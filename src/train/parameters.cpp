#include "train/parameters.h"

#include <algorithm>

#include "base/parallel.h"

namespace pare {

Parameters::Parameters(const Model& model) {
  const auto add = [&](const TensorPlace& place, int64_t rows, int64_t cols) {
    index_.emplace(Key{place.role, place.block, place.bias}, tensors_.size());
    tensors_.push_back({place, rows, cols, size_});
    size_ += rows * cols;
  };
  for_each_tensor(
      model, [&](const TensorPlace& place, const Weight& weight) { add(place, weight.rows, weight.cols); },
      [](const TensorPlace&, const std::vector<float>&) {});
  for_each_tensor(
      model, [](const TensorPlace&, const Weight&) {},
      [&](const TensorPlace& place, const std::vector<float>& values) {
        add(place, 1, static_cast<int64_t>(values.size()));
      });
}

bool Parameters::has(Role role, int64_t block, bool bias) const {
  return index_.contains(Key{role, block, bias});
}

const TrainedTensor& Parameters::at(Role role, int64_t block, bool bias) const {
  return tensors_[index_.at(Key{role, block, bias})];
}

void Parameters::read(const Model& model, std::span<float> values) const {
  PARE_CHECK(static_cast<int64_t>(values.size()) == size_);
  for_each_tensor(
      model,
      [&](const TensorPlace& place, const Weight& weight) {
        const MatrixView<float> to = matrix_in(values, at(place.role, place.block, place.bias));
        parallel_for(weight.rows, [&](int64_t r) { decode_row(weight, r, to.row(r)); });
      },
      [&](const TensorPlace& place, const std::vector<float>& vector) {
        std::copy(vector.begin(), vector.end(),
                  part_in(values, at(place.role, place.block, place.bias)).begin());
      });
}

Model Parameters::view(const Model& model, std::span<const float> values) const {
  Model seen = model;
  for_each_tensor(
      seen,
      [&](const TensorPlace& place, Weight& weight) {
        weight = Weight::view_of(matrix_in(values, at(place.role, place.block, place.bias)));
      },
      [](const TensorPlace&, std::vector<float>&) {});
  refresh_vectors(seen, values);
  return seen;
}

void Parameters::refresh_vectors(Model& model, std::span<const float> values) const {
  for_each_tensor(
      model, [](const TensorPlace&, Weight&) {},
      [&](const TensorPlace& place, std::vector<float>& vector) {
        const std::span<const float> from = part_in(values, at(place.role, place.block, place.bias));
        std::copy(from.begin(), from.end(), vector.begin());
      });
}

MatrixView<float> matrix_in(std::span<float> array, const TrainedTensor& tensor) {
  return {part_in(array, tensor).data(), tensor.rows, tensor.cols, tensor.cols};
}
MatrixView<const float> matrix_in(std::span<const float> array, const TrainedTensor& tensor) {
  return {part_in(array, tensor).data(), tensor.rows, tensor.cols, tensor.cols};
}

}  // namespace pare
