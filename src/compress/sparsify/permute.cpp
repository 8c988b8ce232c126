#include "compress/sparsify/permute.h"

#include <numeric>

#include "base/parallel.h"
#include "compress/calibrate/linear_solver.h"
#include "model/visit.h"

namespace pare {
namespace {

Weight with_columns(const Weight& weight, std::span<const int64_t> order) {
  const Matrix<float> from = decode(weight);
  Matrix<float> to(from.rows(), from.cols());
  parallel_for(from.rows(), [&](int64_t r) {
    for (int64_t c = 0; c < from.cols(); ++c) to(r, c) = from(r, order[static_cast<size_t>(c)]);
  });
  release_pages(weight);
  return Weight::from_matrix(to.view(), permuted_encoding(weight));
}

Weight with_rows(const Weight& weight, std::span<const int64_t> order) {
  Weight result = gather_rows(weight, order);
  release_pages(weight);
  return result;
}

void permute_vector(std::vector<float>& values, std::span<const int64_t> order) {
  if (values.empty()) return;
  const std::vector<float> from = values;
  for (size_t i = 0; i < values.size(); ++i) values[i] = from[static_cast<size_t>(order[i])];
}

void permute_norm(Norm& norm, std::span<const int64_t> order) {
  permute_vector(norm.weight, order);
  permute_vector(norm.bias, order);
}

void permute_outputs(Linear& linear, std::span<const int64_t> order) {
  linear.weight = with_rows(linear.weight, order);
  permute_vector(linear.bias, order);
}

void permute_inputs(Linear& linear, std::span<const int64_t> order) {
  linear.weight = with_columns(linear.weight, order);
}

// The order of `total` channels in which only [first, first + order.size()) change places.
std::vector<int64_t> within(int64_t total, int64_t first, std::span<const int64_t> order) {
  std::vector<int64_t> all(static_cast<size_t>(total));
  std::iota(all.begin(), all.end(), 0);
  for (size_t i = 0; i < order.size(); ++i) all[static_cast<size_t>(first) + i] = first + order[i];
  return all;
}

}  // namespace

void permute_hidden(Stage& stage, std::span<const int64_t> order) {
  for (Branch& branch : stage.branches) {
    auto* mlp = std::get_if<Mlp>(&branch);
    if (mlp == nullptr) continue;
    if (!mlp->gate.weight.empty()) permute_outputs(mlp->gate, order);
    permute_outputs(mlp->up, order);
    permute_inputs(mlp->down, order);
  }
}

void permute_values(Stage& stage, int64_t kv_head, std::span<const int64_t> order) {
  for (Branch& branch : stage.branches) {
    auto* attention = std::get_if<Attention>(&branch);
    if (attention == nullptr) continue;
    const int64_t dim = attention->value_head_dim;
    permute_outputs(attention->v, within(attention->kv_heads * dim, kv_head * dim, order));
    const int64_t shared = attention->heads / attention->kv_heads;
    std::vector<int64_t> columns(static_cast<size_t>(attention->heads * dim));
    std::iota(columns.begin(), columns.end(), 0);
    for (int64_t h = kv_head * shared; h < (kv_head + 1) * shared; ++h)
      for (int64_t i = 0; i < dim; ++i)
        columns[static_cast<size_t>(h * dim + i)] = h * dim + order[static_cast<size_t>(i)];
    permute_inputs(attention->o, columns);
  }
}

Stage permute_residual(const Stage& stage, std::span<const int64_t> order) {
  Stage result = stage;
  permute_norm(result.norm, order);
  for_each_linear(result, [&](Role role, Linear& linear) {
    if (reads_residual(role)) permute_inputs(linear, order);
    if (writes_residual(role)) permute_outputs(linear, order);
  });
  if (!result.skip.empty()) result.skip = with_columns(with_rows(result.skip, order), order);
  return result;
}

std::optional<int64_t> other_residual_width(const Model& model, int64_t width) {
  std::optional<int64_t> other;
  const auto see = [&](int64_t found) {
    if (found != width) other = found;
  };
  for (const Block& block : model.blocks)
    for (const Stage& stage : block.stages) {
      for_each_linear(stage, [&](Role role, const Linear& linear) {
        if (reads_residual(role)) see(linear.weight.cols);
        if (writes_residual(role)) see(linear.weight.rows);
      });
      if (!stage.skip.empty()) see(stage.skip.rows);
    }
  see(model.embedding_transform.empty() ? model.embedding.cols : model.embedding_transform.rows);
  return other;
}

void permute_residual_ends(Model& model, std::span<const int64_t> order) {
  PARE_CHECK(!other_residual_width(model, static_cast<int64_t>(order.size())));
  if (model.embedding_transform.empty())
    model.embedding = with_columns(model.embedding, order);
  else
    model.embedding_transform = with_rows(model.embedding_transform, order);
  if (!model.positions.empty()) model.positions = with_columns(model.positions, order);
  permute_norm(model.final_norm, order);
  if (!model.head_transform.empty()) {
    // A tied head reads the embedding's channels, which have the new order too unless a matrix hides it.
    model.head_transform = with_columns(model.head_transform, order);
    if (model.head.empty() && model.embedding_transform.empty())
      model.head_transform = with_rows(model.head_transform, order);
  } else if (!model.head.empty()) {
    model.head = with_columns(model.head, order);
  }
}

}  // namespace pare
