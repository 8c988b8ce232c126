// Calibrating linears with a solver that only writes down what it is asked.
#include "compress/calibrate/linear_calibration.h"

#include <map>

#include "compress/calibrated.h"
#include "compress/solve/obs.h"
#include "compress/sparsify/permute.h"
#include "support/expect_error.h"

namespace pare::test {
namespace {

// Questions to the solver, and its answers.
struct Script {
  std::vector<Role> roles;         // roles that the solver takes; empty: all
  std::vector<std::string> calls;  // "see q k v", "reorder o", "solve o"
  std::function<void(const CalibratedInput&)> see;
  std::function<std::vector<int64_t>(Stage&, const CalibratedInput&)> reorder;
  std::function<Weight(const CalibratedLinear&)> solve;  // none: weights stay
};

class FakeSolver final : public LinearSolver {
 public:
  explicit FakeSolver(Script& script) : script_(script) {}
  std::string activity() const override { return "pretending"; }
  bool takes(StagePosition, Role role) const override {
    const auto& roles = script_.roles;
    return roles.empty() || std::find(roles.begin(), roles.end(), role) != roles.end();
  }
  void see(const CalibratedInput& input) override {
    write("see", input.group.roles);
    if (script_.see) script_.see(input);
  }
  std::vector<int64_t> reorder(Stage& stage, const CalibratedInput& input) override {
    write("reorder", input.group.roles);
    return script_.reorder ? script_.reorder(stage, input) : std::vector<int64_t>();
  }
  Weight solve(const CalibratedLinear& linear, Report&) override {
    write("solve", {linear.role()});
    return script_.solve ? script_.solve(linear) : linear.weight();
  }

 private:
  void write(std::string call, const std::vector<Role>& roles) {
    for (const Role role : roles) call += fmt::format(" {}", role_name(role));
    script_.calls.push_back(std::move(call));
  }

  Script& script_;
};

std::unique_ptr<LinearCalibration> calibration(Script& script, const LinearCalibrationOptions& options,
                                               const Model& model, const CalibrationSet& set,
                                               const WorkArea& area) {
  return std::make_unique<LinearCalibration>(std::make_unique<FakeSolver>(script), options, model, area,
                                             own_tokens(set, area), "rows");
}

// Edits one stage after the other; the walk moves behind each.
struct Rehearsal {
  Rehearsal(const Model& of, Script& script, const LinearCalibrationOptions& options = {})
      : model(of), editor(calibration(script, options, model, set, area)) {
    walk.start(model);
  }
  Stage edit(size_t index, bool advance = true) {
    const auto block = static_cast<int64_t>(index / model.blocks.front().stages.size());
    return editor->edit(stage_at(model, index), {index, block}, {walk, nullptr}, advance, report);
  }
  size_t stages() const { return model.blocks.size() * model.blocks.front().stages.size(); }
  // Returns the output of a stage for the stream x of the walk.
  Matrix<float> run(const Stage& stage, const Matrix<float>& x) const {
    Matrix<float> all;
    for (int64_t s = 0; s < walk.sequences(); ++s) {
      const Matrix<float> y = run_stage(stage, x.view().rows_of(s * walk.seqlen(), walk.seqlen()),
                                        model.config, ComputeType::kF32);
      if (all.empty()) all = Matrix<float>(walk.tokens(), y.cols());
      std::copy_n(y.data(), y.size(), all.row(s * walk.seqlen()));
    }
    return all;
  }

  Model model;
  CalibrationSet set = random_calibration(4, 24);
  WorkArea area;
  CalibrationWalk walk = {set, model.config, area, "walk", ComputeType::kF32};
  std::unique_ptr<LinearCalibration> editor;
  Report report;
};

// Counts the rows of each signal that linears read when a stage runs, over all sequences.
std::map<Signal, Matrix<float>> signals_in(CalibrationWalk& walk, const Stage& stage) {
  std::map<Signal, Matrix<float>> signals;
  std::map<Signal, int64_t> seen;
  const Observer observer = [&](Signal signal, const Activation& activation) {
    if (signal == Signal::kBranchOutput) return;  // shown once for each branch
    const HostRows host = download(activation);
    const MatrixView<const float> x = host.view();
    Matrix<float>& all = signals[signal];
    if (all.empty()) all = Matrix<float>(walk.tokens(), x.cols);
    for (int64_t r = 0; r < x.rows; ++r) std::copy_n(x.row(r), x.cols, all.row(seen[signal]++));
  };
  walk.peek(stage, "signals", {observer, {}, {}});
  return signals;
}

TEST(LinearCalibration, AsksAboutInputsOfLinearsThatAreTaken) {
  const auto calls = [](const Model& model, size_t stage, std::vector<Role> roles) {
    Script script;
    script.roles = std::move(roles);
    Rehearsal(model, script).edit(stage);
    return script.calls;
  };
  using Calls = std::vector<std::string>;
  const Model plain = make_tiny_model();
  EXPECT_EQ(calls(plain, 0, {}),
            (Calls{"see q k v", "solve q", "solve k", "solve v", "see o", "reorder o", "solve o"}));
  EXPECT_EQ(calls(plain, 1, {}),
            (Calls{"see gate up", "solve gate", "solve up", "see down", "reorder down", "solve down"}));
  EXPECT_EQ(calls(plain, 0, {Role::kValue}), (Calls{"see q k v", "solve v"}));
  EXPECT_EQ(calls(plain, 0, {Role::kDown}), Calls{});
  EXPECT_EQ(calls(plain, 1, {Role::kDown}), (Calls{"see down", "reorder down", "solve down"}));
  EXPECT_EQ(calls(make_tiny_model(phi_like()), 0, {}),
            (Calls{"see q k v up", "solve q", "solve k", "solve v", "solve up", "see o", "reorder o",
                   "solve o", "see down", "reorder down", "solve down"}));
}

TEST(LinearCalibration, ShowsTheGramMatrixAndTheRowsOfEachInput) {
  for (const TinyModelOptions& like : every_design()) {
    SCOPED_TRACE(like.architecture);
    Script script;
    Rehearsal rehearsal(make_tiny_model(like), script);
    int64_t inputs = 0;
    for (size_t s = 0; s < rehearsal.stages(); ++s) {
      const std::map<Signal, Matrix<float>> signals =
          signals_in(rehearsal.walk, stage_at(rehearsal.model, s));
      Matrix<double> gram;
      script.see = [&](const CalibratedInput& input) {
        ++inputs;
        EXPECT_EQ(input.position.index, s);
        EXPECT_EQ(input.tokens, 96);
        const Matrix<float>& x = signals.at(input.group.signal);
        const MatrixView<const float> rows = input.rows.all();
        ASSERT_EQ(rows.rows, 96);
        ASSERT_EQ(rows.cols, input.group.width);
        EXPECT_LT(relative_difference(x.view(), rows), 1e-6);
        for (int64_t i = 0; i < x.cols(); ++i)
          for (int64_t j = 0; j < x.cols(); ++j) {
            double sum = 0.0;
            double magnitude = 0.0;
            for (int64_t t = 0; t < x.rows(); ++t) {
              sum += static_cast<double>(x(t, i)) * x(t, j);
              magnitude += std::abs(static_cast<double>(x(t, i)) * x(t, j));
            }
            // 96 sums in f32 of products, whose factors may be two bf16 parts or differ by 1e-6.
            EXPECT_NEAR(input.gram(i, j), sum, magnitude * (96 * 0x1p-24 + 0x1p-17 + 2e-6));
          }
        gram = input.gram.clone();
      };
      script.solve = [&](const CalibratedLinear& linear) {
        const MatrixView<const double> damped = linear.gram().matrix();
        const double mean = mean_diagonal(std::as_const(gram).view());
        for (int64_t i = 0; i < damped.rows; ++i)
          for (int64_t j = 0; j < damped.cols; ++j)
            EXPECT_DOUBLE_EQ(damped(i, j), gram(i, j) + (i == j ? 0.01 * mean : 0.0));
        return linear.weight();
      };
      rehearsal.edit(s);
    }
    EXPECT_EQ(inputs, like.architecture == std::string_view("phi") ? 6 : 8);
  }
}

// Returns another weight than the linear's, as bf16.
Weight changed(const CalibratedLinear& linear) {
  Matrix<float> values = decode(linear.weight());
  for (int64_t i = 0; i < values.size(); ++i) values.data()[i] *= i % 3 == 0 ? 0.5f : 0.9f;
  return Weight::from_matrix(std::as_const(values).view(), Encoding::kBF16);
}

// Products of corrections may be of bf16.
double tolerance() { return calibration_compute() == ComputeType::kBF16 ? 0x1p-6 : 1e-5; }

TEST(LinearCalibration, LeavesTheWalkBehindTheChangedStage) {
  using Roles = std::vector<Role>;
  for (const TinyModelOptions& like : every_design())
    for (const Roles& roles :
         {Roles{}, Roles{Role::kQuery, Role::kUp}, Roles{Role::kAttentionOutput, Role::kUp}}) {
      SCOPED_TRACE(fmt::format("{}, {} roles", like.architecture, roles.size()));
      Script script;
      script.roles = roles;
      script.solve = changed;
      Rehearsal rehearsal(make_tiny_model(like), script);
      for (size_t s = 0; s < rehearsal.stages(); ++s) {
        const Matrix<float> before = stream_of(rehearsal.walk);
        const Stage stage = rehearsal.edit(s);
        const Matrix<float> expected = rehearsal.run(stage, before);
        EXPECT_LT(relative_difference(expected.view(), stream_of(rehearsal.walk).view()), tolerance()) << s;
        // The edited stage is another function than the dense one.
        const Matrix<float> dense = rehearsal.run(stage_at(rehearsal.model, s), before);
        EXPECT_GT(relative_difference(dense.view(), expected.view()), 1e-3) << s;
        for_each_linear(stage, [&](Role role, const Linear& linear) {
          const bool taken = roles.empty() || std::find(roles.begin(), roles.end(), role) != roles.end();
          EXPECT_EQ(linear.weight.format.encoding, taken ? Encoding::kBF16 : Encoding::kF32);
        });
      }
    }
}

TEST(LinearCalibration, LeavesTheWalkWhereItIsOrUnchangedIfWanted) {
  for (const TinyModelOptions& like : every_design()) {
    SCOPED_TRACE(like.architecture);
    Script script;
    script.solve = changed;
    Rehearsal staying(make_tiny_model(like), script);
    const Matrix<float> before = stream_of(staying.walk);
    const Stage stage = staying.edit(0, false);
    EXPECT_EQ(relative_difference(before.view(), stream_of(staying.walk).view()), 0.0);
    Rehearsal dense(make_tiny_model(like), script, {.sequential = false});
    dense.edit(0);
    const Matrix<float> expected = dense.run(stage_at(dense.model, 0), before);
    EXPECT_LT(relative_difference(expected.view(), stream_of(dense.walk).view()), 1e-6);
  }
}

// Gives the channels of a hidden stream another order; returns it, as LinearSolver::reorder does.
std::vector<int64_t> reorder_hidden(Stage& stage, const CalibratedInput& input) {
  if (input.group.signal != Signal::kHiddenStream) return {};
  std::vector<int64_t> order(static_cast<size_t>(input.group.width));
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>((5 * i + 1) % order.size());
  permute_hidden(stage, order);
  return order;
}

TEST(LinearCalibration, CarriesAnotherOrderOfChannelsThrough) {
  Script script;
  Matrix<double> gram;
  script.see = [&](const CalibratedInput& input) { gram = input.gram.clone(); };
  script.reorder = reorder_hidden;
  script.solve = [&](const CalibratedLinear& linear) {
    if (linear.role() == Role::kDown) {
      const MatrixView<const double> h = linear.gram().matrix();
      for (int64_t i = 0; i < 48; ++i)
        for (int64_t j = 0; j < i; ++j) EXPECT_EQ(h(i, j), gram((5 * i + 1) % 48, (5 * j + 1) % 48));
    }
    return changed(linear);
  };
  Rehearsal rehearsal(make_tiny_model(), script);
  rehearsal.edit(0);
  EXPECT_TRUE(rehearsal.report.checks.empty());
  const Matrix<float> before = stream_of(rehearsal.walk);
  const Stage stage = rehearsal.edit(1);
  const Matrix<float> expected = rehearsal.run(stage, before);
  EXPECT_LT(relative_difference(expected.view(), stream_of(rehearsal.walk).view()), tolerance());
  ASSERT_EQ(rehearsal.report.checks.size(), 1u);
  EXPECT_EQ(rehearsal.report.checks.front().name, "layers.0.down shuffle");
}

TEST(LinearCalibration, RefusesAnOrderThatChangesTheFunction) {
  Script script;
  script.reorder = [](Stage& stage, const CalibratedInput& input) {
    std::vector<int64_t> order(static_cast<size_t>(input.group.width));
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(order.size() - 1 - i);
    Weight& down = linear_of(stage, Role::kDown).weight;
    down = gather_rows(down, std::vector<int64_t>(static_cast<size_t>(down.rows), 0));
    return order;
  };
  Rehearsal rehearsal(make_tiny_model(), script);
  EXPECT_PARE_ERROR(rehearsal.edit(1), ErrorCode::kNumeric, "layers.0.down shuffle");
}

Weight from_rows(const CalibratedLinear& linear,
                 const std::function<MatrixView<const double>(const LinearRows&)>& of) {
  Matrix<double> values(linear.weight().rows, linear.weight().cols);
  linear.for_each_rows([&](const LinearRows& rows) {
    copy_rows(of(rows), values.view().rows_of(rows.first, rows.weight.rows));
  });
  return Weight::from_matrix(std::as_const(values).view());
}

// Returns the model with a skip matrix in every stage.
Model with_skips(Model model) {
  Rng rng(9);
  Matrix<float> skip(model.config.stream_width(), model.config.stream_width());
  for (size_t s = 0; s < model.blocks.size() * model.blocks.front().stages.size(); ++s) {
    for (int64_t r = 0; r < skip.rows(); ++r)
      for (int64_t c = 0; c < skip.cols(); ++c)
        skip(r, c) = static_cast<float>((r == c ? 0.8 : 0.0) + 0.05 * rng.normal());
    stage_at(model, s).skip = Weight::from_matrix(std::as_const(skip).view());
  }
  return model;
}

TEST(LinearCalibration, TargetsAreTheWeightsAsLongAsNothingWasLost) {
  std::vector<Model> models = {with_skips(make_tiny_model())};
  for (const TinyModelOptions& like : every_design()) models.push_back(make_tiny_model(like));
  for (size_t m = 0; m < models.size(); ++m) {
    SCOPED_TRACE(m);
    const Model& model = models[m];
    const CalibrationSet set = random_calibration(16, 32);
    for (const MatchOutput match : {MatchOutput::kLayer, MatchOutput::kModel}) {
      Script script;
      script.reorder = reorder_hidden;
      script.solve = [&](const CalibratedLinear& linear) {
        linear.for_each_rows([&](const LinearRows& rows) {
          const bool matched = match == MatchOutput::kModel && writes_residual(linear.role());
          // Outputs are differences of streams, made by products in the type of the walk.
          const double unit = calibration_compute() == ComputeType::kBF16 ? 2e-3 : 1e-3;
          const double exact = matched ? unit : 0.0;
          for (int64_t r = 0; r < rows.weight.rows; ++r)
            for (int64_t c = 0; c < rows.weight.cols; ++c)
              EXPECT_NEAR(rows.target(r, c), rows.weight(r, c), exact) << linear.name();
        });
        return linear.weight();
      };
      WorkArea area;
      StageEditors editors;
      editors.push_back(calibration(script, {.match = match}, model, set, area));
      Report report;
      edit_stages(model, set, editors, area, report);
    }
  }
}

TEST(LinearCalibration, ReportsDampingThatHadToBeRaised) {
  Model model = make_tiny_model();
  stage_at(model, 0).norm.weight.front() = 0.0f;  // a channel that is always 0
  Script script;
  script.roles = {Role::kKey, Role::kDown};
  script.solve = [](const CalibratedLinear& linear) {
    linear.gram().obs();
    return linear.weight();
  };
  Rehearsal rehearsal(model, script, {.damping = 0.0});
  rehearsal.edit(0);
  EXPECT_EQ(rehearsal.report.fallbacks, std::vector<std::string>{"layers.0.k: damping raised 1 times"});
  rehearsal.edit(1);
  EXPECT_EQ(rehearsal.report.fallbacks.size(), 1u);
}

TEST(LinearCalibration, TargetsBringTheStreamBack) {
  for (const TinyModelOptions& like : every_design()) {
    SCOPED_TRACE(like.architecture);
    const Model model = make_tiny_model(like);
    const CalibrationSet set = random_calibration(16, 32);
    // The first layer loses a part of what it does.
    const auto difference = [&](bool use_targets) {
      Script script;
      script.solve = [&](const CalibratedLinear& linear) {
        if (linear.position().block == 0) return changed(linear);
        return from_rows(linear,
                         [&](const LinearRows& rows) { return use_targets ? rows.target : rows.weight; });
      };
      WorkArea area;
      StageEditors editors;
      editors.push_back(calibration(script, {.match = MatchOutput::kModel}, model, set, area));
      Report report;
      const Model edited = edit_stages(model, set, editors, area, report);
      WorkArea other;
      CalibrationWalk a(set, model.config, other, "a", ComputeType::kF32);
      CalibrationWalk b(set, model.config, other, "b", ComputeType::kF32);
      a.start(model);
      b.start(edited);
      for (size_t s = 0; s < model.blocks.size() * model.blocks.front().stages.size(); ++s) {
        a.run(stage_at(model, s), "dense");
        b.run(stage_at(edited, s), "edited");
      }
      const Matrix<float> x = stream_of(a);
      const Matrix<float> y = stream_of(b);
      double sum = 0.0;
      for (int64_t i = 0; i < x.size(); ++i)
        sum += std::pow(static_cast<double>(x.data()[i]) - y.data()[i], 2.0);
      return sum;
    };
    EXPECT_LT(difference(true), 0.9 * difference(false));
  }
}

// A pass that rounds weights uses a grid for each row, the sweep of GPTQ, and targets that make up for
// earlier errors.
TEST(LinearCalibration, ServesASolverThatRoundsToAGrid) {
  for (const TinyModelOptions& like : every_design()) {
    SCOPED_TRACE(like.architecture);
    const Model model = make_tiny_model(like);
    const CalibrationSet set = random_calibration(16, 32);
    double of_sweeps = 0.0;
    double of_nearest = 0.0;
    Script script;
    script.solve = [&](const CalibratedLinear& linear) {
      Matrix<double> values(linear.weight().rows, linear.weight().cols);
      OutputError swept = linear.output_error();
      OutputError nearest = linear.output_error();
      linear.for_each_rows([&](const LinearRows& rows) {
        const auto rule_of = [&](int64_t r) {
          double largest = 0.0;
          for (int64_t c = 0; c < rows.target.cols; ++c)
            largest = std::max(largest, std::abs(rows.target(r, c)));
          return [step = largest / 7.0](const double* w, int64_t c, double& value) {
            value = step * std::nearbyint(w[c] / step);
            return true;
          };
        };
        Matrix<double> rounded = copy_of(rows.target);
        for (int64_t r = 0; r < rounded.rows(); ++r)
          for (int64_t c = 0; c < rounded.cols(); ++c) rule_of(r)(rows.target.row(r), c, rounded(r, c));
        nearest.add(rows.target, rounded);
        rounded = copy_of(rows.target);
        obs_sweep(linear.gram().obs(), 1, rule_of, rounded);
        swept.add(rows.target, rounded);
        copy_rows(std::as_const(rounded).view(), values.view().rows_of(rows.first, rounded.rows()));
      });
      of_sweeps += swept.relative();
      of_nearest += nearest.relative();
      return Weight::from_matrix(std::as_const(values).view());
    };
    WorkArea area;
    StageEditors editors;
    editors.push_back(calibration(script, {.match = MatchOutput::kModel}, model, set, area));
    Report report;
    const Model edited = edit_stages(model, set, editors, area, report);
    EXPECT_LT(of_sweeps, 0.8 * of_nearest);
    EXPECT_LT(logit_difference(model, edited, set), 0.5);
  }
}

TEST(CalibratedLinear, GivesAllRowsInPieces) {
  Matrix<float> values(1100, 8);
  Rng rng(3);
  for (int64_t i = 0; i < values.size(); ++i) values.data()[i] = static_cast<float>(rng.normal());
  const Weight weight = Weight::from_matrix(std::as_const(values).view());
  InputGram gram(Matrix<double>::identity(8));
  const CalibratedLinear linear({7, 3}, Role::kUp, weight, gram, 0.0, nullptr);
  EXPECT_EQ(linear.name(), "layers.3.up");
  std::vector<std::pair<int64_t, int64_t>> pieces;
  const Weight whole = from_rows(linear, [&](const LinearRows& rows) {
    pieces.emplace_back(rows.first, rows.weight.rows);
    return rows.target;
  });
  EXPECT_EQ(pieces, (std::vector<std::pair<int64_t, int64_t>>{{0, 512}, {512, 512}, {1024, 76}}));
  const Matrix<float> got = decode(whole);
  EXPECT_TRUE(std::equal(values.data(), values.data() + values.size(), got.data()));
}

TEST(CalibratedLinear, GivesTheTargetsOfTheRowsOfEachPiece) {
  Matrix<float> values(1100, 8);
  Matrix<double> cross(1100, 8);
  Rng rng(3);
  for (int64_t i = 0; i < values.size(); ++i) {
    values.data()[i] = static_cast<float>(rng.normal());
    cross.data()[i] = rng.normal();
  }
  const Weight weight = Weight::from_matrix(std::as_const(values).view());
  // With H = 1 and λ = 3, (C + λW)·(H + λ)⁻¹ is (C + 3W)/4.
  Matrix<double> damped = Matrix<double>::identity(8);
  for (int64_t i = 0; i < 8; ++i) damped(i, i) = 4.0;
  const MatchingWeights matching(cross.clone(), std::move(damped), 3.0);
  InputGram gram(Matrix<double>::identity(8));
  const CalibratedLinear linear({0, 0}, Role::kDown, weight, gram, 0.0, &matching);
  linear.for_each_rows([&](const LinearRows& rows) {
    for (int64_t r = 0; r < rows.target.rows; ++r)
      for (int64_t c = 0; c < 8; ++c) {
        const double w = values(rows.first + r, c);
        EXPECT_EQ(rows.weight(r, c), w);
        EXPECT_DOUBLE_EQ(rows.target(r, c), (cross(rows.first + r, c) + 3.0 * w) / 4.0);
      }
  });
}

TEST(OutputError, IsTheShareOfTheOutputThatIsLost) {
  // H = diag(1, 4) without its damping of 0.5.
  Matrix<double> damped = Matrix<double>::identity(2);
  damped(0, 0) = 1.5;
  damped(1, 1) = 4.5;
  Matrix<double> target(1, 2);
  target(0, 0) = 2.0;
  target(0, 1) = 3.0;
  Matrix<double> values = target.clone();
  values(0, 1) = 2.0;
  OutputError error(std::as_const(damped).view(), 0.5);
  error.add(std::as_const(target).view(), values);
  EXPECT_DOUBLE_EQ(error.relative(), 4.0 / (4.0 + 36.0));
}

}  // namespace
}  // namespace pare::test
