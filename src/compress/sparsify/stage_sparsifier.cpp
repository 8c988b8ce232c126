#include "compress/sparsify/stage_sparsifier.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>

#include "compress/probe.h"
#include "compress/solve/gram.h"
#include "compress/sparsify/permute.h"
#include "compress/sparsify/shuffle_error.h"

namespace pare {
namespace {

// Of the rows of one linear.
struct Sums {
  double kept_score = 0.0;
  double score = 0.0;
  double lost = 0.0;    // Σ ‖y − y'‖² over the calibration tokens
  double output = 0.0;  // Σ ‖y‖²
};

// tr(A·H·Aᵀ) for H = damped − damping·I.
double output_energy(const Matrix<float>& a, MatrixView<const double> damped, double damping) {
  double squares = 0.0;
  for (int64_t i = 0; i < a.size(); ++i) squares += static_cast<double>(a.data()[i]) * a.data()[i];
  return gram_inner_product(a.view(), damped) - damping * squares;
}

void add_sums(const SparseRows& sparse, MatrixView<const double> wanted, MatrixView<const double> damped,
              double damping, Sums& sums) {
  Matrix<float> rows(wanted.rows, wanted.cols);
  for (int64_t r = 0; r < wanted.rows; ++r)
    for (int64_t c = 0; c < wanted.cols; ++c) rows(r, c) = static_cast<float>(wanted(r, c));
  sums.output += output_energy(rows, damped, damping);
  for (int64_t r = 0; r < wanted.rows; ++r)
    for (int64_t c = 0; c < wanted.cols; ++c)
      rows(r, c) = static_cast<float>(wanted(r, c) - sparse.values(r, c));
  sums.lost += output_energy(rows, damped, damping);
  sums.kept_score += sparse.kept_score;
  sums.score += sparse.total_score;
}

// Of a Stage or a const Stage.
template <typename StageT>
auto& linear_of(StageT& stage, Role role) {
  std::conditional_t<std::is_const_v<StageT>, const Linear, Linear>* found = nullptr;
  for_each_linear(stage, [&](Role r, auto& linear) {
    if (r == role) found = &linear;
  });
  PARE_CHECK(found != nullptr);
  return *found;
}

std::vector<InputGroup> input_groups(const Stage& stage) {
  std::vector<InputGroup> groups;
  for_each_linear(stage, [&](Role role, const Linear& linear) {
    const Signal signal = reads_residual(role)             ? Signal::kNormed
                          : role == Role::kAttentionOutput ? Signal::kValueStream
                                                           : Signal::kHiddenStream;
    auto same = std::find_if(groups.begin(), groups.end(),
                             [&](const InputGroup& group) { return group.signal == signal; });
    if (same == groups.end()) same = groups.insert(groups.end(), {signal, {}, linear.weight.cols});
    same->roles.push_back(role);
  });
  return groups;
}

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

}  // namespace

// An input and what calibration says of it.
struct StageSparsifier::Input {
  InputGroup group;
  ChannelStatistics channels;
  Matrix<double> gram;  // (width, width): Σ x·xᵀ
  // Where the dense model is matched: Σ y·xᵀ, (out, width), y what would bring the stream to the dense
  // model's.
  Matrix<double> cross;
  std::vector<int64_t> order = {};      // of the channels as they were collected; empty: unchanged
  int64_t tokens = 0;                   // collected by this rank
  std::optional<double> spread_before;  // of the entropies, before any shuffle
  ChunkSum gram_sum;                    // what becomes `gram`
  std::optional<ChunkSum> cross_sum;    // and `cross`

  Input(const InputGroup& of, const SampleSplit& split) : group(of), gram_sum(split, of.width, of.width) {}
};

int64_t widest_input(const Model& model) {
  int64_t widest = 0;
  for (const Block& block : model.blocks)
    for (const Stage& stage : block.stages)
      for_each_linear(stage,
                      [&](Role, const Linear& linear) { widest = std::max(widest, linear.weight.cols); });
  return widest;
}

StageSparsifier::StageSparsifier(SparsifyOptions options, const Model& model, std::vector<Pattern> patterns,
                                 WorkArea& area, int64_t tokens, std::vector<int64_t> residual_order,
                                 const std::string& inputs)
    : options_(std::move(options)),
      prune_(options_.prune),
      selection_(options_.targets, options_.ignore),
      config_(model.config),
      patterns_(std::move(patterns)),
      residual_order_(std::move(residual_order)),
      kept_(area.stream(inputs, tokens * widest_input(model))) {}

bool StageSparsifier::selects(int64_t block, const InputGroup& group) const {
  return !prune_.pattern.dense() && std::any_of(group.roles.begin(), group.roles.end(), [&](Role role) {
    return selection_.selects(config_, block, role);
  });
}

void StageSparsifier::see(Input& input, MatrixView<const float> x) {
  gram_accumulate(x, nullptr, input.gram_sum.next());
  const MatrixView<float> to = kept_.rows(input.tokens, x.rows, x.cols);
  copy_rows(x, to);
  kept_.release(to);
  input.tokens += x.rows;
}

void StageSparsifier::finish(const CalibrationWalk& walk, Input& input) const {
  input.gram = gram_total(std::move(input.gram_sum));
  if (input.cross_sum) input.cross = std::move(*input.cross_sum).total();
  input.channels.tokens = walk.all_tokens();
  for (int64_t j = 0; j < input.group.width; ++j) input.channels.square_sums.push_back(input.gram(j, j));
  if (prune_.score.method == SparseMethod::kEsparse) {
    const MatrixView<const float> all = kept_.rows(0, input.tokens, input.group.width);
    input.channels.entropies = channel_entropies(all, prune_.score.bins, walk.split().comm());
    kept_.release(all);
  }
  if (!options_.shuffle.any() || input.channels.entropies.empty()) return;
  std::vector<double> original = input.channels.entropies;
  if (input.group.signal == Signal::kNormed)
    for (size_t i = 0; i < residual_order_.size(); ++i)
      original[static_cast<size_t>(residual_order_[i])] = input.channels.entropies[i];
  input.spread_before = entropy_spread(original, prune_.pattern);
}

void StageSparsifier::collect_normed(const Stage& stage, const CalibrationWalk& walk, Input& input) {
  for (int64_t s = 0; s < walk.sequences(); ++s) {
    const MatrixView<const float> x = walk.stream(s);
    if (stage.norm_place != NormPlace::kInput) {
      see(input, x);
      continue;
    }
    Matrix<float> normed(x.rows, x.cols);
    apply_norm(stage.norm, x, normed.view());
    see(input, std::as_const(normed).view());
  }
  finish(walk, input);
}

// Runs the stage; leaves the walk behind it when it is to advance.
void StageSparsifier::collect_inner(const Stage& stage, const std::string& label, const StageStreams& streams,
                                    Input& input, bool advance) {
  const bool match = needs_dense();
  const auto skip = stage.skip.empty() ? nullptr : pack_linear(stage.skip, ComputeType::kF32);
  const Linear& writer = linear_of(stage, input.group.roles.front());
  const std::vector<float>& bias = writer.bias;
  if (match) input.cross_sum.emplace(streams.walk.split(), writer.weight.rows, input.group.width);
  // What the weight has to add to bring the current sequence to what the dense model has: the other branches'
  // outputs are taken away as they come.
  Matrix<float> change;
  Matrix<float> seen;   // the weight's input
  bool is_own = false;  // whether the branch that runs is the weight's
  const auto observe = [&](Signal signal, const Activation& activation) {
    const HostRows host = download(activation);
    const MatrixView<const float> x = host.view();
    if (signal == Signal::kValueStream || signal == Signal::kHiddenStream)
      is_own = signal == input.group.signal;
    if (signal == Signal::kBranchOutput && match && !is_own)
      for (int64_t r = 0; r < change.rows(); ++r)
        for (int64_t c = 0; c < change.cols(); ++c) change(r, c) -= x(r, c);
    if (signal == Signal::kStageInput && match) {
      const MatrixView<const float> target = streams.target(stage, input.tokens / streams.walk.seqlen());
      change = carried(stage, skip.get(), x);
      for (int64_t r = 0; r < change.rows(); ++r)
        for (int64_t c = 0; c < change.cols(); ++c)
          change(r, c) = target(r, c) - change(r, c) - (bias.empty() ? 0.0f : bias[static_cast<size_t>(c)]);
    }
    if (signal != input.group.signal) return;
    see(input, x);
    if (!match) return;
    seen = copy_of(x);
  };
  const auto finish_sequence = [&](MatrixView<const float>) {
    if (match)
      cross_accumulate(std::as_const(change).view(), std::as_const(seen).view(), nullptr,
                       input.cross_sum->next());
  };
  const StageWatch watch = {observe, {}, finish_sequence};
  if (advance)
    streams.walk.run(stage, label, watch);
  else
    streams.walk.peek(stage, label, watch);
  finish(streams.walk, input);
}

// The walk has gone on with `before`: its outputs become those of `after`.
void StageSparsifier::correct(CalibrationWalk& walk, const Linear& before, const Linear& after,
                              const Input& input, const std::string& label) {
  Matrix<float> change = decode(after.weight);
  if (!input.order.empty()) {
    const Matrix<float> ordered = change.clone();
    for (int64_t r = 0; r < change.rows(); ++r)
      for (int64_t c = 0; c < change.cols(); ++c)
        change(r, input.order[static_cast<size_t>(c)]) = ordered(r, c);
  }
  const Matrix<float> old = decode(before.weight);
  for (int64_t i = 0; i < change.size(); ++i) change.data()[i] -= old.data()[i];
  walk.correct(label, Weight::from_matrix(std::as_const(change).view()), kept_);
}

// Orders the channels of a stream inside the stage, and what is known of them.
void StageSparsifier::shuffle(Stage& stage, const std::string& label, const CalibrationWalk& walk,
                              Input& input, Report& report) const {
  const Stage before = stage;
  const Pattern pattern = prune_.pattern;
  const Linear& reader = linear_of(stage, input.group.roles.front());
  measure_weights(reader.weight, prune_.score, input.channels);
  ReaderRows readers = {{}, decode_f64(reader.weight), {}};
  readers.scores = prune_scores(std::as_const(readers.weights).view(), input.channels, prune_);
  const MatrixView<const double> gram = std::as_const(input.gram).view();
  std::vector<int64_t> order(static_cast<size_t>(input.group.width));
  std::iota(order.begin(), order.end(), 0);
  if (input.group.signal == Signal::kHiddenStream) {
    readers.grams = {gram};
    order = order_of_channels(readers, pattern, options_.shuffle);
    permute_hidden(stage, order);
  } else {
    const Attention& attention = *attention_of(before);
    const int64_t dim = attention.value_head_dim;
    if (dim % pattern.group != 0) return;  // groups would reach over the border of a head
    const int64_t shared = attention.heads / attention.kv_heads;
    for (int64_t k = 0; k < attention.kv_heads; ++k) {
      ReaderRows of_head = {stacked_heads(readers.scores, k * shared, shared, dim),
                            stacked_heads(readers.weights, k * shared, shared, dim),
                            {}};
      for (int64_t h = k * shared; h < (k + 1) * shared; ++h)
        of_head.grams.push_back(gram.block(h * dim, h * dim, dim, dim));
      const std::vector<int64_t> head = order_of_channels(of_head, pattern, options_.shuffle);
      permute_values(stage, k, head);
      for (int64_t h = k * shared; h < (k + 1) * shared; ++h)
        for (int64_t i = 0; i < dim; ++i)
          order[static_cast<size_t>(h * dim + i)] = h * dim + head[static_cast<size_t>(i)];
    }
  }
  readers = {};
  input.order = order;
  input.gram = with_rows_and_columns(input.gram, order);
  if (!input.cross.empty()) input.cross = with_columns(input.cross, order);
  input.channels.square_sums = reordered(input.channels.square_sums, order);
  if (!input.channels.entropies.empty())
    input.channels.entropies = reordered(input.channels.entropies, order);
  const Matrix<float> x = walk.first_tokens(walk.seqlen());
  const Matrix<float> expected = run_stage(before, x.view(), config_, ComputeType::kF32);
  const Matrix<float> got = run_stage(stage, x.view(), config_, ComputeType::kF32);
  require_exact(label + " shuffle", expected.view(), got.view(), report);
}

// Works on some rows at a time: they are independent, and a large linear in f64 with all that solvers need
// would take many times the memory of the model's stage.
void StageSparsifier::prune_group(Stage& stage, int64_t block, Input& input, Report& report) const {
  const double mean = mean_diagonal(std::as_const(input.gram).view());
  const double damping = mean > 0.0 ? options_.damping * mean : 1.0;
  for (int64_t i = 0; i < input.gram.rows(); ++i) input.gram(i, i) += damping;
  InputGram gram(std::move(input.gram));
  std::optional<SpdFactor> match;
  const double match_damping = mean > 0.0 ? options_.match_damping * mean : 1.0;
  if (!input.cross.empty()) {
    Matrix<double> strongly_damped = copy_of(gram.matrix());
    for (int64_t i = 0; i < strongly_damped.rows(); ++i) strongly_damped(i, i) += match_damping - damping;
    match.emplace(std::move(strongly_damped));
  }
  for (const Role role : input.group.roles) {
    if (!selection_.selects(config_, block, role)) continue;
    const std::string name = linear_name(block, role);
    Linear& linear = linear_of(stage, role);
    measure_weights(linear.weight, prune_.score, input.channels);
    Matrix<float> values(linear.weight.rows, linear.weight.cols);
    Sums sums;
    for (int64_t first = 0; first < values.rows(); first += kRowsAtOnce) {
      const int64_t count = std::min(kRowsAtOnce, values.rows() - first);
      const Matrix<double> weight = decode_f64(rows_of(linear.weight, first, count));
      Matrix<double> target;
      if (match) {
        // (C + λW)·(H + λI)⁻¹, C = Σ (wanted output)·xᵀ, λ of the match
        Matrix<double> wanted =
            copy_of(std::as_const(input.cross).view().block(first, 0, count, weight.cols()));
        for (int64_t i = 0; i < wanted.size(); ++i) wanted.data()[i] += match_damping * weight.data()[i];
        target = match->backward(match->forward(std::as_const(wanted).view()).view());
      }
      const MatrixView<const double> wanted = match ? std::as_const(target).view() : weight.view();
      const SparseRows sparse = prune({weight.view(), wanted, gram, input.channels}, prune_);
      add_sums(sparse, wanted, gram.matrix(), damping, sums);
      for (int64_t i = 0; i < sparse.values.size(); ++i)
        values.row(first)[i] = static_cast<float>(sparse.values.data()[i]);
    }
    linear.weight = Weight::from_matrix(std::as_const(values).view());
    report.sparsity.push_back({name, pattern_name(prune_.pattern),
                               sums.score > 0.0 ? sums.kept_score / sums.score : 1.0,
                               sums.output > 0.0 ? sums.lost / sums.output : 0.0});
    if (input.spread_before) {
      report.sparsity.back().entropy_spread_before = input.spread_before;
      report.sparsity.back().entropy_spread_after = entropy_spread(input.channels.entropies, prune_.pattern);
    }
    const int raised = std::max(gram.raised(), match ? match->raised() : 0);
    if (raised > 0) report.fallbacks.push_back(fmt::format("{}: damping raised {} times", name, raised));
  }
}

Stage StageSparsifier::rearranged(const Stage& stage) const {
  return residual_order_.empty() ? stage : permute_residual(stage, residual_order_);
}

Stage StageSparsifier::edit(const Stage& stage, StagePosition position, const StageStreams& streams,
                            bool advance, Report& report) {
  prune_.pattern = patterns_[position.index];
  const int64_t block = position.block;
  const std::string label = fmt::format("layer {}", block);
  Stage sparse = stage;
  std::vector<InputGroup> inner;
  for (const InputGroup& group : input_groups(stage)) {
    if (!selects(block, group)) continue;
    if (group.signal != Signal::kNormed) {
      inner.push_back(group);
    } else {
      Input input(group, streams.walk.split());
      collect_normed(stage, streams.walk, input);
      prune_group(sparse, block, input, report);
    }
  }
  const Stage& running = options_.sequential ? sparse : stage;
  if (inner.empty() && advance) streams.walk.run(running, label);
  for (size_t i = 0; i < inner.size(); ++i) {
    const bool last = advance && i + 1 == inner.size();
    Input input(inner[i], streams.walk.split());
    const Role writer = input.group.roles.front();
    const Linear before = linear_of(sparse, writer);
    // Outputs that a norm reads cannot be corrected: the stage runs again.
    const bool again = options_.sequential && stage.norm_place != NormPlace::kInput;
    collect_inner(running, label, streams, input, last && !again);
    if (options_.shuffle.any() && options_.shuffle_inner)
      shuffle(sparse, linear_name(block, writer), streams.walk, input, report);
    prune_group(sparse, block, input, report);
    if (last && again)
      streams.walk.run(sparse, label);
    else if (last && options_.sequential)
      correct(streams.walk, before, linear_of(sparse, writer), input, label);
  }
  return sparse;
}

}  // namespace pare
