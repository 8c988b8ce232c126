#include "compress/sparsify/stage_sparsifier.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "compress/probe.h"
#include "compress/sparsify/permute.h"
#include "linalg/linalg.h"

namespace pare {
namespace {

double mean_diagonal(MatrixView<const double> m) {
  double sum = 0.0;
  for (int64_t i = 0; i < m.rows; ++i) sum += m(i, i);
  return sum / static_cast<double>(std::max<int64_t>(1, m.rows));
}

double inner(MatrixView<const double> a, MatrixView<const double> b) {
  double sum = 0.0;
  for (int64_t r = 0; r < a.rows; ++r) sum += std::inner_product(a.row(r), a.row(r) + a.cols, b.row(r), 0.0);
  return sum;
}

// Where the rows of one sequence go, or come from.
void copy_rows(MatrixView<const float> from, MatrixView<float> to) {
  for (int64_t r = 0; r < from.rows; ++r) std::copy_n(from.row(r), from.cols, to.row(r));
}

Linear& linear_of(Stage& stage, Role role) {
  Linear* found = nullptr;
  for_each_linear(stage, [&](Role r, Linear& linear) {
    if (r == role) found = &linear;
  });
  PARE_CHECK(found != nullptr);
  return *found;
}

bool is_output(Role role) { return writes_residual(role); }

}  // namespace

std::vector<InputGroup> input_groups(const Stage& stage) {
  std::vector<InputGroup> groups;
  for_each_linear(stage, [&](Role role, const Linear& linear) {
    const Signal signal = reads_residual(role)             ? Signal::kNormed
                          : role == Role::kAttentionOutput ? Signal::kValueStream
                                                           : Signal::kHiddenStream;
    auto same = std::find_if(groups.begin(), groups.end(),
                             [&](const InputGroup& group) { return group.signal == signal; });
    if (same == groups.end())
      same = groups.insert(groups.end(), {signal, {}, linear.weight.cols, is_output(role)});
    same->roles.push_back(role);
  });
  return groups;
}

namespace {

template <typename T>
std::vector<T> reordered(const std::vector<T>& values, std::span<const int64_t> order) {
  std::vector<T> result;
  for (size_t i = 0; i < values.size(); ++i) result.push_back(values[static_cast<size_t>(order[i])]);
  return result;
}

Matrix<double> with_columns(const Matrix<double>& m, std::span<const int64_t> order) {
  Matrix<double> result(m.rows(), m.cols());
  for (int64_t r = 0; r < m.rows(); ++r)
    for (int64_t c = 0; c < m.cols(); ++c) result(r, c) = m(r, order[static_cast<size_t>(c)]);
  return result;
}

Matrix<double> with_rows_and_columns(const Matrix<double>& m, std::span<const int64_t> order) {
  Matrix<double> result(m.rows(), m.cols());
  for (int64_t r = 0; r < m.rows(); ++r)
    for (int64_t c = 0; c < m.cols(); ++c)
      result(r, c) = m(order[static_cast<size_t>(r)], order[static_cast<size_t>(c)]);
  return result;
}

const Attention* attention_of(const Stage& stage) {
  for (const Branch& branch : stage.branches)
    if (const auto* attention = std::get_if<Attention>(&branch)) return attention;
  return nullptr;
}

// The scores of o's columns, heads that share a KV head on top of each other: (out · shared heads, dims).
Matrix<double> scores_of_head(const Matrix<double>& scores, const Attention& attention, int64_t kv_head) {
  const int64_t dim = attention.value_head_dim;
  const int64_t shared = attention.heads / attention.kv_heads;
  Matrix<double> stacked(scores.rows() * shared, dim);
  for (int64_t h = 0; h < shared; ++h)
    for (int64_t r = 0; r < scores.rows(); ++r)
      std::copy_n(scores.row(r) + (kv_head * shared + h) * dim, dim, stacked.row(h * scores.rows() + r));
  return stacked;
}

}  // namespace

// An input and what calibration says of it.
struct StageSparsifier::Input {
  InputGroup group;
  ChannelStatistics channels;
  Matrix<double> gram;  // (width, width): Σ x·xᵀ
  // Where the dense model is matched: Σ y·xᵀ; y is what the dense model has in place of x, (width, width),
  // or, for what writes the residual stream, what would bring the stream to the dense model's, (out, width).
  Matrix<double> cross;
};

StageSparsifier::StageSparsifier(const SparsifyOptions& options, const Selection& selection,
                                 const ModelConfig& config, WorkArea& area, CalibrationWalk& walk,
                                 CalibrationWalk* dense, int64_t widest)
    : options_(options), selection_(selection), config_(config), walk_(walk), dense_(dense) {
  if (options.prune.score.method == SparseMethod::kEsparse)
    kept_ = area.stream("inputs", walk.tokens() * widest);
  if (dense != nullptr) dense_normed_ = area.stream("dense-normed", walk.tokens() * config.embedding_width);
}

void StageSparsifier::collect(const Stage& stage, const std::string& label, std::vector<Input>& inputs) {
  int64_t first = 0;     // token of the current sequence
  int64_t next = 0;      // and of the one after it
  Matrix<float> change;  // what would bring the stream of the current sequence to the dense model's
  const auto skip = stage.skip.empty() ? nullptr : pack_linear(stage.skip, ComputeType::kF32);
  const auto see = [&](Signal signal, MatrixView<const float> x) {
    if (signal == Signal::kStageInput) {
      first = next;
      next += x.rows;
    }
    if (signal == Signal::kStageInput && dense_ != nullptr) {
      const MatrixView<const float> wanted = dense_->stream(first / walk_.seqlen());
      change = Matrix<float>(wanted.rows, wanted.cols);
      if (skip)
        skip->apply(x, change.view());
      else
        copy_rows(x, change.view());
      for (int64_t r = 0; r < change.rows(); ++r)
        for (int64_t c = 0; c < change.cols(); ++c) change(r, c) = wanted(r, c) - change(r, c);
    }
    for (Input& input : inputs) {
      if (input.group.signal != signal) continue;
      gram_accumulate(x, nullptr, input.gram.view());
      if (dense_ != nullptr) {
        const MatrixView<const float> wanted = input.group.writes_residual
                                                   ? std::as_const(change).view()
                                                   : std::as_const(dense_normed_).rows(first, x.rows, x.cols);
        if (input.cross.empty()) input.cross = Matrix<double>::zeros(wanted.cols, x.cols);
        cross_accumulate(wanted, x, nullptr, input.cross.view());
      }
    }
  };
  walk_.peek(stage, label, {see, {}, {}});
  for (Input& input : inputs) {
    input.channels.tokens = walk_.tokens();
    for (int64_t j = 0; j < input.group.width; ++j) input.channels.square_sums.push_back(input.gram(j, j));
    if (options_.prune.score.method != SparseMethod::kEsparse) continue;
    // Entropies need the extremes first: the input is kept, one at a time.
    int64_t kept = 0;
    walk_.peek(stage, label,
               {[&](Signal signal, MatrixView<const float> x) {
                  if (signal != input.group.signal) return;
                  copy_rows(x, kept_.rows(kept, x.rows, x.cols));
                  kept += x.rows;
                },
                {},
                {}});
    input.channels.entropies = channel_entropies(
        std::as_const(kept_).rows(0, walk_.tokens(), input.group.width), options_.prune.score.bins);
  }
}

// Orders the channels of a stream inside the stage, and what is known of them.
void StageSparsifier::shuffle(Stage& stage, const std::string& label, Input& input, Report& report) const {
  const Stage before = stage;
  const Pattern pattern = options_.prune.pattern;
  const Linear& reader = linear_of(stage, input.group.roles.front());
  const Matrix<double> weight = decode_f64(reader.weight);
  const Matrix<double> scores = prune_scores(weight.view(), input.channels, options_.prune);
  std::vector<int64_t> order(static_cast<size_t>(input.group.width));
  std::iota(order.begin(), order.end(), 0);
  if (input.group.signal == Signal::kHiddenStream) {
    order = shuffle_channels(channel_scores(std::span(&scores, 1)), pattern, options_.shuffle);
    permute_hidden(stage, order);
  } else {
    const Attention& attention = *attention_of(before);
    const int64_t dim = attention.value_head_dim;
    if (dim % pattern.group != 0) return;  // groups would reach over the border of a head
    const int64_t shared = attention.heads / attention.kv_heads;
    for (int64_t k = 0; k < attention.kv_heads; ++k) {
      const Matrix<double> stacked = scores_of_head(scores, attention, k);
      const std::vector<int64_t> head =
          shuffle_channels(channel_scores(std::span(&stacked, 1)), pattern, options_.shuffle);
      permute_values(stage, k, head);
      for (int64_t h = k * shared; h < (k + 1) * shared; ++h)
        for (int64_t i = 0; i < dim; ++i)
          order[static_cast<size_t>(h * dim + i)] = h * dim + head[static_cast<size_t>(i)];
    }
  }
  input.gram = with_rows_and_columns(input.gram, order);
  if (!input.cross.empty()) input.cross = with_columns(input.cross, order);
  input.channels.square_sums = reordered(input.channels.square_sums, order);
  if (!input.channels.entropies.empty())
    input.channels.entropies = reordered(input.channels.entropies, order);
  const Matrix<float> expected = run_stage(before, walk_.stream(0), config_, ComputeType::kF32);
  const Matrix<float> got = run_stage(stage, walk_.stream(0), config_, ComputeType::kF32);
  require_exact(label + " shuffle", expected.view(), got.view(), report);
}

void StageSparsifier::prune_group(Stage& stage, int64_t block, Input& input, Report& report) const {
  if (input.group.writes_residual && options_.shuffle.any() && options_.shuffle_inner)
    shuffle(stage, linear_name(block, input.group.roles.front()), input, report);
  const double mean = mean_diagonal(std::as_const(input.gram).view());
  const double damping = mean > 0.0 ? options_.damping * mean : 1.0;
  Matrix<double> damped = input.gram.clone();
  for (int64_t i = 0; i < damped.rows(); ++i) damped(i, i) += damping;
  std::optional<ObsFactor> factor;
  if (needs_factor(options_.prune)) factor.emplace(std::as_const(damped).view());
  for (const Role role : input.group.roles) {
    if (!selection_.selects(config_, block, role)) continue;
    const std::string name = linear_name(block, role);
    Linear& linear = linear_of(stage, role);
    const Matrix<double> weight = decode_f64(linear.weight);
    Matrix<double> target = weight.clone();
    if (!input.cross.empty()) {
      // (C + λW)·(H + λI)⁻¹, C = Σ (wanted output)·xᵀ
      Matrix<double> wanted =
          input.group.writes_residual ? input.cross.clone() : matmul(weight.view(), input.cross.view());
      for (int64_t r = 0; r < wanted.rows(); ++r)
        for (int64_t c = 0; c < wanted.cols(); ++c) wanted(r, c) += damping * weight(r, c);
      int raised = 0;
      target = solve_spd_right(std::as_const(damped).view(), std::as_const(wanted).view(), &raised);
      for (int64_t r = 0; r < target.rows(); ++r)
        for (int64_t c = 0; c < target.cols(); ++c)
          target(r, c) = weight(r, c) + options_.match_share * (target(r, c) - weight(r, c));
    }
    const SparseLinear sparse =
        prune({weight.view(), std::as_const(target).view(), std::as_const(damped).view(), input.channels,
               factor ? &*factor : nullptr},
              options_.prune);
    Matrix<double> lost(weight.rows(), weight.cols());
    for (int64_t i = 0; i < lost.size(); ++i) lost.data()[i] = target.data()[i] - sparse.values.data()[i];
    const Matrix<double> lost_gram = matmul(std::as_const(lost).view(), std::as_const(input.gram).view());
    const Matrix<double> whole_gram = matmul(std::as_const(target).view(), std::as_const(input.gram).view());
    const double whole = inner(std::as_const(target).view(), whole_gram.view());
    const double error = inner(std::as_const(lost).view(), lost_gram.view());
    report.sparsity.push_back(
        {name, pattern_name(options_.prune.pattern), sparse.kept_score, whole > 0.0 ? error / whole : 0.0});
    if (factor && factor->raised() > 0)
      report.fallbacks.push_back(fmt::format("{}: damping raised {} times", name, factor->raised()));
    linear.weight = Weight::from_matrix(sparse.values.view());
  }
}

Stage StageSparsifier::run(const Stage& stage, int64_t block, Report& report) {
  const std::string label = fmt::format("layer {}", block);
  if (dense_ != nullptr) {
    int64_t first = 0;
    dense_->run(stage, label,
                {[&](Signal signal, MatrixView<const float> x) {
                   if (signal != Signal::kNormed) return;
                   copy_rows(x, dense_normed_.rows(first, x.rows, x.cols));
                   first += x.rows;
                 },
                 {},
                 {}});
  }
  std::vector<Input> inputs;
  for (const InputGroup& group : input_groups(stage)) {
    const bool any = std::any_of(group.roles.begin(), group.roles.end(),
                                 [&](Role role) { return selection_.selects(config_, block, role); });
    if (any) inputs.push_back({group, {}, Matrix<double>::zeros(group.width, group.width), {}});
  }
  Stage sparse = stage;
  if (options_.fine) {
    for (Input& input : inputs) {
      std::vector<Input> one;
      one.push_back(std::move(input));
      collect(sparse, label, one);
      prune_group(sparse, block, one.front(), report);
    }
  } else if (!inputs.empty()) {
    collect(stage, label, inputs);
    for (Input& input : inputs) prune_group(sparse, block, input, report);
  }
  walk_.run(options_.sequential ? sparse : stage, label);
  return sparse;
}

}  // namespace pare
