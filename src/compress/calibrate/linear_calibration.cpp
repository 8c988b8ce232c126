#include "compress/calibrate/linear_calibration.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "compress/calibrate/wanted_output.h"
#include "compress/exactness.h"

namespace pare {
namespace {

std::string label_of(StagePosition position) { return fmt::format("layer {}", position.block); }

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

}  // namespace

const std::map<std::string, MatchOutput> kMatchWords = {{"layer", MatchOutput::kLayer},
                                                        {"model", MatchOutput::kModel}};

void validate(const LinearCalibrationOptions& o) {
  if (!(o.damping > 0.0) || !std::isfinite(o.damping))
    fail(ErrorCode::kUsage, "`damping` is {}, expected more than 0", o.damping);
  if (!(o.match_damping > 0.0) || !std::isfinite(o.match_damping))
    fail(ErrorCode::kUsage, "`match_damping` is {}, expected more than 0", o.match_damping);
  if (o.match == MatchOutput::kModel && !o.sequential)
    fail(ErrorCode::kUsage,
         "`match model` needs `sequential yes`: there are no earlier errors to make up for");
}

void take_options(const OptionValues& values, LinearCalibrationOptions& options) {
  take_option(values, "sequential", kYesNo, options.sequential);
  take_option(values, "match", kMatchWords, options.match);
  take_option(values, "damping", options.damping);
  take_option(values, "match_damping", options.match_damping);
}

double damping_of(const Matrix<double>& gram, double relative) {
  const double mean = mean_diagonal(gram.view());
  return mean > 0.0 ? relative * mean : 1.0;
}

void add_to_diagonal(Matrix<double>& m, double value) {
  for (int64_t i = 0; i < m.rows(); ++i) m(i, i) += value;
}

LinearCalibration::LinearCalibration(std::unique_ptr<LinearSolver> solver,
                                     const LinearCalibrationOptions& options, const Model& model,
                                     const WorkArea& area, int64_t tokens, const std::string& rows,
                                     std::unique_ptr<const LossWeights> weights)
    : solver_(std::move(solver)),
      options_(options),
      config_(model.config),
      rows_(area, rows, tokens * widest_input(model)),
      weights_(std::move(weights)) {}

std::vector<double> LinearCalibration::weights_of(StagePosition position, const InputGroup& group) const {
  return weights_ ? weights_->of(position.index, group.roles) : std::vector<double>();
}

bool LinearCalibration::takes(StagePosition position, const InputGroup& group) const {
  return std::any_of(group.roles.begin(), group.roles.end(),
                     [&](Role role) { return solver_->takes(position, role); });
}

CalibratedInput LinearCalibration::collect_normed(const Stage& stage, StagePosition position,
                                                  const InputGroup& group, const CalibrationWalk& walk) {
  const Backend& on = default_backend();
  const bool normalises = stage.norm_place == NormPlace::kInput;
  const auto norm = on.pack_norm(stage.norm);
  const std::vector<double> weights = weights_of(position, group);
  InputSum sum(group.signal, group.width, walk.split(), &rows_);
  sum.weigh(weights);
  for (int64_t s = 0; s < walk.sequences(); ++s) {
    const Activation x = on.borrow(walk.stream(s));
    const Activation input = normalises ? on.allocate(x.rows(), x.cols()) : x;
    if (normalises) on.norm(*norm, x, input, x.cols());
    sum.add(input);
  }
  return {position, group, walk.all_tokens(), std::move(sum).gram(), {}, rows_, walk.split().comm()};
}

// Runs the stage and sums up the input; leaves the walk behind the stage when it is to advance.
CalibratedInput LinearCalibration::collect_inner(const Stage& stage, StagePosition position,
                                                 const InputGroup& group, const StageStreams& streams,
                                                 bool advance) {
  const CalibrationWalk& walk = streams.walk;
  const std::vector<double> weights = weights_of(position, group);
  InputSum sum(group.signal, group.width, walk.split(), &rows_);
  sum.weigh(weights);
  std::optional<WantedOutput> wanted;
  if (needs_dense()) {
    wanted.emplace(stage, linear_of(stage, group.roles.front()), group.signal, streams);
    wanted->weigh(weights);
  }
  StageWatch watch;
  watch.observer = [&](Signal signal, const Activation& x) {
    if (wanted) wanted->see(signal, x);
    if (signal == group.signal) sum.add(x);
  };
  if (wanted) watch.output = [&](MatrixView<const float>) { wanted->end_sequence(); };
  if (advance)
    streams.walk.run(stage, label_of(position), watch);
  else
    streams.walk.peek(stage, label_of(position), watch);
  Matrix<double> gram = std::move(sum).gram();
  Matrix<double> cross = wanted ? std::move(*wanted).total() : Matrix<double>();
  return {position, group, walk.all_tokens(), std::move(gram), std::move(cross), rows_, walk.split().comm()};
}

// Returns the order of the channels, empty when it is as it was.
std::vector<int64_t> LinearCalibration::reorder(Stage& stage, CalibratedInput& input,
                                                const CalibrationWalk& walk, Report& report) {
  const Stage before = stage;
  std::vector<int64_t> order = solver_->reorder(stage, input);
  if (order.empty()) return order;
  input.gram = with_rows_and_columns(input.gram, order);
  if (!input.cross.empty()) input.cross = with_columns(input.cross, order);
  const Matrix<float> x = walk.first_tokens(walk.seqlen());
  const Matrix<float> expected = run_stage(before, x.view(), config_, ComputeType::kF32);
  const Matrix<float> got = run_stage(stage, x.view(), config_, ComputeType::kF32);
  require_exact(linear_name(input.position.block, input.group.roles.front()) + " shuffle", expected.view(),
                got.view(), report);
  return order;
}

void LinearCalibration::solve(Stage& stage, CalibratedInput& input, Report& report) {
  const double damping = damping_of(input.gram, options_.damping);
  const double match_damping = damping_of(input.gram, options_.match_damping);
  add_to_diagonal(input.gram, damping);
  InputGram gram(std::move(input.gram));
  std::optional<MatchingWeights> matching;
  if (!input.cross.empty()) {
    Matrix<double> strongly_damped = copy_of(gram.matrix());
    add_to_diagonal(strongly_damped, match_damping - damping);
    matching.emplace(std::move(input.cross), std::move(strongly_damped), match_damping);
  }
  for (const Role role : input.group.roles) {
    if (!solver_->takes(input.position, role)) continue;
    Weight& weight = linear_of(stage, role).weight;
    const CalibratedLinear linear(input.position, role, weight, gram, damping,
                                  matching ? &*matching : nullptr);
    Weight solved = solver_->solve(linear, report);
    PARE_CHECK(solved.rows == weight.rows && solved.cols == weight.cols);
    weight = std::move(solved);
    const int raised = std::max(gram.raised(), matching ? matching->raised() : 0);
    if (raised > 0)
      report.fallbacks.push_back(fmt::format("{}: damping raised {} times", linear.name(), raised));
  }
}

// Corrects a walk that ran with `before`: its outputs become those of `after`, with columns in `order`.
void LinearCalibration::correct(CalibrationWalk& walk, StagePosition position, const Linear& before,
                                const Linear& after, std::span<const int64_t> order) const {
  Matrix<float> change = decode(after.weight);
  if (!order.empty()) {
    const Matrix<float> ordered = change.clone();
    for (int64_t r = 0; r < change.rows(); ++r)
      for (int64_t c = 0; c < change.cols(); ++c) change(r, order[static_cast<size_t>(c)]) = ordered(r, c);
  }
  const Matrix<float> old = decode(before.weight);
  for (int64_t i = 0; i < change.size(); ++i) change.data()[i] -= old.data()[i];
  walk.correct(label_of(position), Weight::from_matrix(std::as_const(change).view()), rows_.buffer());
}

Stage LinearCalibration::edit(const Stage& stage, StagePosition position, const StageStreams& streams,
                              bool advance, Report& report) {
  Stage changed = stage;
  std::vector<InputGroup> inner;
  for (const InputGroup& group : input_groups(stage)) {
    if (!takes(position, group)) continue;
    if (group.signal != Signal::kNormed) {
      inner.push_back(group);
      continue;
    }
    CalibratedInput input = collect_normed(stage, position, group, streams.walk);
    solver_->see(input);
    solve(changed, input, report);
  }
  const Stage& running = options_.sequential ? changed : stage;
  // Outputs that a norm reads cannot be corrected: the stage runs again.
  const bool again = options_.sequential && stage.norm_place != NormPlace::kInput;
  if (inner.empty() && advance) streams.walk.run(running, label_of(position));
  for (size_t i = 0; i < inner.size(); ++i) {
    const bool last = advance && i + 1 == inner.size();
    const Role writer = inner[i].roles.front();
    const Linear before = linear_of(changed, writer);
    CalibratedInput input = collect_inner(running, position, inner[i], streams, last && !again);
    solver_->see(input);
    const std::vector<int64_t> order = reorder(changed, input, streams.walk, report);
    solve(changed, input, report);
    if (last && again)
      streams.walk.run(changed, label_of(position));
    else if (last && options_.sequential)
      correct(streams.walk, position, before, linear_of(changed, writer), order);
  }
  return changed;
}

}  // namespace pare
