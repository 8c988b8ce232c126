#include "compress/sparsify/sparse_solver.h"

#include <algorithm>
#include <numeric>

#include "compress/sparsify/permute.h"
#include "compress/sparsify/shuffle_error.h"

namespace pare {
namespace {

template <typename T>
std::vector<T> reordered(const std::vector<T>& values, std::span<const int64_t> order) {
  std::vector<T> result;
  for (size_t i = 0; i < values.size(); ++i) result.push_back(values[static_cast<size_t>(order[i])]);
  return result;
}

const Attention* attention_of(const Stage& stage) {
  for (const Branch& branch : stage.branches)
    if (const auto* attention = std::get_if<Attention>(&branch)) return attention;
  return nullptr;
}

// Columns of o, heads that share a KV head on top of each other: (out · heads, dims).
Matrix<double> stacked_heads(const Matrix<double>& o, int64_t first_head, int64_t heads, int64_t dim) {
  Matrix<double> stacked(o.rows() * heads, dim);
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t r = 0; r < o.rows(); ++r)
      std::copy_n(o.row(r) + (first_head + h) * dim, dim, stacked.row(h * o.rows() + r));
  return stacked;
}

std::vector<int64_t> order_of_channels(const ReaderRows& readers, Pattern pattern,
                                       const ShuffleOptions& options) {
  std::vector<int64_t> order =
      shuffle_channels(channel_scores(std::span(&readers.scores, 1)), pattern, options);
  if (options.local && options.by_error) return shuffle_by_error(std::move(order), readers, pattern, options);
  return order;
}

// Reorders the channels of the hidden stream, which `readers` read, in one order.
std::vector<int64_t> reorder_hidden(Stage& stage, ReaderRows readers, MatrixView<const double> gram,
                                    Pattern pattern, const ShuffleOptions& options) {
  readers.grams = {gram};
  std::vector<int64_t> order = order_of_channels(readers, pattern, options);
  permute_hidden(stage, order);
  return order;
}

// Reorders the dimensions of each value head. Returns no order where groups would cross the border of a head.
std::vector<int64_t> reorder_values(Stage& stage, const ReaderRows& readers, MatrixView<const double> gram,
                                    Pattern pattern, const ShuffleOptions& options) {
  const Attention& attention = *attention_of(stage);
  const int64_t heads = attention.heads;
  const int64_t kv_heads = attention.kv_heads;
  const int64_t dim = attention.value_head_dim;
  const int64_t shared = heads / kv_heads;
  if (dim % pattern.group != 0) return {};
  std::vector<int64_t> order(static_cast<size_t>(heads * dim));
  for (int64_t k = 0; k < kv_heads; ++k) {
    ReaderRows of_head = {stacked_heads(readers.scores, k * shared, shared, dim),
                          stacked_heads(readers.weights, k * shared, shared, dim),
                          {}};
    for (int64_t h = k * shared; h < (k + 1) * shared; ++h)
      of_head.grams.push_back(gram.block(h * dim, h * dim, dim, dim));
    const std::vector<int64_t> head = order_of_channels(of_head, pattern, options);
    permute_values(stage, k, head);
    for (int64_t h = k * shared; h < (k + 1) * shared; ++h)
      for (int64_t i = 0; i < dim; ++i)
        order[static_cast<size_t>(h * dim + i)] = h * dim + head[static_cast<size_t>(i)];
  }
  return order;
}

}  // namespace

SparseSolver::SparseSolver(const SparsifyOptions& options, const ModelConfig& config,
                           std::vector<Pattern> patterns, std::vector<int64_t> residual_order)
    : prune_(options.prune),
      shuffle_(options.shuffle),
      shuffle_inner_(options.shuffle_inner),
      selection_(options.targets, options.ignore),
      config_(config),
      patterns_(std::move(patterns)),
      residual_order_(std::move(residual_order)) {}

PruneOptions SparseSolver::prune_at(StagePosition position) const {
  PruneOptions prune = prune_;
  prune.pattern = patterns_[position.index];
  return prune;
}

Stage SparseSolver::rearranged(const Stage& stage) const {
  return residual_order_.empty() ? stage : permute_residual(stage, residual_order_);
}

bool SparseSolver::takes(StagePosition position, Role role) const {
  return !patterns_[position.index].dense() && selection_.selects(config_, position.block, role);
}

void SparseSolver::see(const CalibratedInput& input) {
  channels_ = {};
  channels_.tokens = input.tokens;
  for (int64_t j = 0; j < input.gram.rows(); ++j) channels_.square_sums.push_back(input.gram(j, j));
  spread_before_.reset();
  if (prune_.score.method != SparseMethod::kEsparse) return;
  channels_.entropies = channel_entropies(input.rows.all(), prune_.score.bins, input.comm);
  input.rows.release();
  if (!shuffle_.any()) return;
  std::vector<double> original = channels_.entropies;
  if (input.group.signal == Signal::kNormed)
    for (size_t i = 0; i < residual_order_.size(); ++i)
      original[static_cast<size_t>(residual_order_[i])] = channels_.entropies[i];
  spread_before_ = entropy_spread(original, patterns_[input.position.index]);
}

std::vector<int64_t> SparseSolver::reorder(Stage& stage, const CalibratedInput& input) {
  if (!shuffle_.any() || !shuffle_inner_) return {};
  const PruneOptions prune = prune_at(input.position);
  const Weight& reader = linear_of(stage, input.group.roles.front()).weight;
  measure_weights(reader, prune.score, channels_);
  ReaderRows readers = {{}, decode_f64(reader), {}};
  readers.scores = prune_scores(std::as_const(readers.weights).view(), channels_, prune);
  const MatrixView<const double> gram = input.gram.view();
  std::vector<int64_t> order = input.group.signal == Signal::kHiddenStream
                                   ? reorder_hidden(stage, std::move(readers), gram, prune.pattern, shuffle_)
                                   : reorder_values(stage, readers, gram, prune.pattern, shuffle_);
  if (order.empty()) return {};
  channels_.square_sums = reordered(channels_.square_sums, order);
  if (!channels_.entropies.empty()) channels_.entropies = reordered(channels_.entropies, order);
  return order;
}

Weight SparseSolver::solve(const CalibratedLinear& linear, Report& report) {
  const PruneOptions options = prune_at(linear.position());
  measure_weights(linear.weight(), options.score, channels_);
  Matrix<float> values(linear.weight().rows, linear.weight().cols);
  OutputError error = linear.output_error();
  double kept_score = 0.0;
  double total_score = 0.0;
  linear.for_each_rows([&](const LinearRows& rows) {
    const SparseRows sparse = prune({rows.weight, rows.target, linear.gram(), channels_}, options);
    error.add(rows.target, sparse.values);
    kept_score += sparse.kept_score;
    total_score += sparse.total_score;
    for (int64_t i = 0; i < sparse.values.size(); ++i)
      values.row(rows.first)[i] = static_cast<float>(sparse.values.data()[i]);
  });
  Json entry = {{"name", linear.name()},
                {"pattern", pattern_name(options.pattern)},
                {"kept_score", total_score > 0.0 ? kept_score / total_score : 1.0},
                {"relative_error", error.relative()}};
  if (spread_before_) {
    entry["entropy_spread_before"] = *spread_before_;
    entry["entropy_spread_after"] = entropy_spread(channels_.entropies, options.pattern);
  }
  report.add("sparsity", std::move(entry));
  return Weight::from_matrix(std::as_const(values).view());
}

}  // namespace pare
