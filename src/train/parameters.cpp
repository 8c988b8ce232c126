#include "train/parameters.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/parallel.h"

namespace pare {
namespace {

// Least correlation of rounded values with those that they were made of.
constexpr double kLeastCorrelation = 0.5;

// Returns the correlation, about zero, of the values of two matrices of one shape.
double correlation(MatrixView<const float> a, MatrixView<const float> b) {
  struct Sums {
    double both = 0.0;
    double first = 0.0;
    double second = 0.0;
  };
  std::vector<Sums> rows(static_cast<size_t>(a.rows));
  parallel_for(a.rows, [&](int64_t r) {
    Sums& sums = rows[static_cast<size_t>(r)];
    for (int64_t c = 0; c < a.cols; ++c) {
      const auto x = static_cast<double>(a(r, c));
      const auto y = static_cast<double>(b(r, c));
      sums.both += x * y;
      sums.first += x * x;
      sums.second += y * y;
    }
  });
  Sums all;
  for (const Sums& sums : rows) {
    all.both += sums.both;
    all.first += sums.first;
    all.second += sums.second;
  }
  return all.first > 0.0 && all.second > 0.0 ? all.both / std::sqrt(all.first * all.second) : 0.0;
}

}  // namespace

Matrix<float> values_before(const Weight& weight, const Weight& origin) {
  if (origin.rows != weight.rows || origin.cols != weight.cols) return {};
  Matrix<float> values = decode(origin);
  const Matrix<float> own = decode(weight);
  if (correlation(own.view(), std::as_const(values).view()) < kLeastCorrelation) return {};
  return values;
}

void Parameters::add(const TensorPlace& place, int64_t rows, int64_t cols) {
  tensors_.push_back({place, rows, cols, size_});
  size_ += rows * cols;
}

Parameters::Parameters(const Model& model) {
  const auto add_indexed = [&](const TensorPlace& place, int64_t rows, int64_t cols) {
    index_.emplace(Key{place.role, place.block, place.bias}, tensors_.size());
    add(place, rows, cols);
  };
  for_each_tensor(
      model,
      [&](const TensorPlace& place, const Weight& weight) { add_indexed(place, weight.rows, weight.cols); },
      [](const TensorPlace&, const std::vector<float>&) {});
  for_each_tensor(
      model, [](const TensorPlace&, const Weight&) {},
      [&](const TensorPlace& place, const std::vector<float>& values) {
        add_indexed(place, 1, static_cast<int64_t>(values.size()));
      });
  first_scale_ = size_;
  for_each_tensor(
      model,
      [&](const TensorPlace& place, const Weight& weight) {
        if (!CodedRows::can_train(weight)) return;
        CodedRows rows(weight);
        const TrainedTensor latent = at(place.role, place.block, place.bias);
        add(place, weight.rows, rows.scales());
        coded_.emplace(latent.offset, Coded{latent, tensors_.back(), std::move(rows)});
      },
      [](const TensorPlace&, const std::vector<float>&) {});
}

bool Parameters::has(Role role, int64_t block, bool bias) const {
  return index_.contains(Key{role, block, bias});
}

const TrainedTensor& Parameters::at(Role role, int64_t block, bool bias) const {
  return tensors_[index_.at(Key{role, block, bias})];
}

bool Parameters::is_coded(const TrainedTensor& tensor) const { return coded_.contains(tensor.offset); }

void Parameters::read(const Model& model, const Model& origin, std::span<float> values) const {
  PARE_CHECK(static_cast<int64_t>(values.size()) == size_);
  std::map<Key, const Weight*> origins;
  for_each_tensor(
      origin,
      [&](const TensorPlace& place, const Weight& weight) {
        origins.emplace(Key{place.role, place.block, place.bias}, &weight);
      },
      [](const TensorPlace&, const std::vector<float>&) {});
  origins.try_emplace(Key{Role::kHead, -1, false}, &origin.head_weight());
  for_each_tensor(
      model,
      [&](const TensorPlace& place, const Weight& weight) {
        const TrainedTensor& tensor = at(place.role, place.block, place.bias);
        const MatrixView<float> to = matrix_in(values, tensor);
        const auto coded = coded_.find(tensor.offset);
        if (coded == coded_.end())
          return parallel_for(weight.rows, [&](int64_t r) { decode_row(weight, r, to.row(r)); });
        const auto found = origins.find(Key{place.role, place.block, place.bias});
        const Matrix<float> before =
            found == origins.end() ? Matrix<float>() : values_before(weight, *found->second);
        coded->second.rows.begin(before.empty() ? MatrixView<const float>() : before.view(), to);
        std::ranges::fill(part_in(values, coded->second.log_scales), 0.0f);
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
        const TrainedTensor& tensor = at(place.role, place.block, place.bias);
        if (!is_coded(tensor)) weight = Weight::view_of(matrix_in(values, tensor));
      },
      [](const TensorPlace&, std::vector<float>&) {});
  refresh(seen, values);
  return seen;
}

void Parameters::refresh(Model& model, std::span<const float> values) const {
  for_each_tensor(
      model,
      [&](const TensorPlace& place, Weight& weight) {
        const auto coded = coded_.find(at(place.role, place.block, place.bias).offset);
        if (coded == coded_.end()) return;
        const Coded& own = coded->second;
        weight = own.rows.rounded(matrix_in(values, own.latent), matrix_in(values, own.log_scales));
      },
      [&](const TensorPlace& place, std::vector<float>& vector) {
        const std::span<const float> from = part_in(values, at(place.role, place.block, place.bias));
        std::copy(from.begin(), from.end(), vector.begin());
      });
}

void Parameters::adjoint(std::span<const float> values, std::span<float> gradient) const {
  for (const auto& [offset, own] : coded_)
    own.rows.adjoint(matrix_in(values, own.latent), matrix_in(values, own.log_scales),
                     matrix_in(gradient, own.latent), matrix_in(gradient, own.log_scales));
}

}  // namespace pare
