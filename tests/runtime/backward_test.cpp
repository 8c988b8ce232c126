// Gradients against finite differences of the forward pass, for stages of every design.
#include "runtime/backward.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <utility>

#include "kernels/reference/reference_backend.h"
#include "model/visit.h"
#include "support/run_model.h"
#include "support/tiny_model.h"

namespace pare::test {
namespace {

constexpr int64_t kLength = 5;
constexpr int64_t kSequences = 2;
constexpr double kStep = 0x1p-6;

Matrix<float> random_rows(int64_t rows, int64_t cols, uint64_t seed) {
  Matrix<float> m(rows, cols);
  Rng rng(seed);
  for (int64_t i = 0; i < m.size(); ++i) m.data()[i] = static_cast<float>(rng.normal());
  return m;
}

double inner(const Matrix<float>& a, const Matrix<float>& b) {
  double sum = 0.0;
  for (int64_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a.data()[i]) * b.data()[i];
  return sum;
}

// The derivative of a loss by central differences of fourth order.
double difference(const std::function<double(double step)>& loss) {
  return (8.0 * (loss(kStep) - loss(-kStep)) - (loss(2.0 * kStep) - loss(-2.0 * kStep))) / (12.0 * kStep);
}

// Returns the stage with a smooth function in place of relu, whose bend differences would cross.
Stage smooth(Stage stage) {
  for (Branch& branch : stage.branches)
    if (auto* m = std::get_if<Mlp>(&branch); m != nullptr && m->activation == ActivationFunction::kRelu)
      m->activation = ActivationFunction::kGelu;
  return stage;
}

std::vector<Segment> whole_sequences(const KvStores& kv) {
  std::vector<Segment> segments;
  for (int64_t s = 0; s < kSequences; ++s)
    segments.push_back({s * kLength, kLength, 0, kv.empty() ? nullptr : kv[static_cast<size_t>(s)].get()});
  return segments;
}

// A stage, the loss Σ weights·output of whole sequences, and its gradients.
class StageLoss {
 public:
  StageLoss(const ModelConfig& config, Stage stage, int64_t width, const Backend& on)
      : on_(on),
        rope_(sequence_rope(config, kSequences, kLength, on)),
        stage_(std::move(stage)),
        x_(random_rows(kSequences * kLength, width, 1)),
        weights_(random_rows(kSequences * kLength, stage_.skip.empty() ? width : stage_.skip.rows, 2)) {}

  // The loss where the stage's input has moved.
  double at(const Matrix<float>& x) const {
    const PackedStage packed = pack_stage(stage_, x.cols(), ComputeType::kF32, on_);
    return inner(run_sequences(packed, x.view(), kLength, rope_), weights_);
  }

  void run() {
    const PackedStage packed = pack_stage(stage_, x_.cols(), ComputeType::kF32, on_);
    const KvStores kv = kv_of(packed, kSequences, kLength);
    const std::vector<Segment> segments = whole_sequences(kv);
    StageTape tape(packed);
    forward_stage(packed, on_.borrow(x_.view()), segments, rope_, tape.observer());
    Gradients gradients(*this);
    at_input = download(backward_stage(pack_adjoint(stage_, ComputeType::kF32, on_), tape, segments, rope_,
                                       on_.upload(weights_.clone()), &gradients))
                   .matrix();
  }

  // Compares the gradient at the input with differences, along the coordinates and along some directions.
  void check_input() const {
    double largest = 0.0;
    for (int64_t i = 0; i < at_input.size(); ++i)
      largest = std::max(largest, std::abs(static_cast<double>(at_input.data()[i])));
    for (int64_t i = 0; i < at_input.size(); i += 3) {
      const double expected = difference([&](double step) {
        Matrix<float> x = x_.clone();
        x.data()[i] = static_cast<float>(x.data()[i] + step);
        return at(x);
      });
      ASSERT_NEAR(at_input.data()[i], expected, 2e-4 * largest) << i;
    }
  }

  // A bias moves an output of all tokens: its derivative is the sum of the gradients at that output.
  void check_outputs() {
    for (const auto& [role, gradient] : at_outputs) {
      SCOPED_TRACE(role_name(role));
      Linear& linear = linear_of(stage_, role);
      const std::vector<float> before = linear.bias;
      double largest = 0.0;
      for (int64_t i = 0; i < gradient.size(); ++i)
        largest = std::max(largest, std::abs(static_cast<double>(gradient.data()[i])));
      ASSERT_EQ(gradient.cols(), linear.weight.rows);
      for (int64_t j = 0; j < gradient.cols(); j += 5) {
        double sum = 0.0;
        for (int64_t t = 0; t < gradient.rows(); ++t) sum += gradient(t, j);
        const double expected = difference([&](double step) {
          linear.bias = before;
          linear.bias.resize(static_cast<size_t>(linear.weight.rows), 0.0f);
          float& bias = linear.bias[static_cast<size_t>(j)];
          bias = static_cast<float>(bias + step);
          return at(x_);
        });
        EXPECT_NEAR(sum, expected, 5e-4 * largest) << j;
      }
      linear.bias = before;
    }
  }

  // Weights of linears, of the skip and of norms.
  void check_weights() {
    for (const auto& entry : at_weights) {
      const Role role = entry.first;
      const Matrix<float>& gradient = entry.second;
      SCOPED_TRACE(role_name(role));
      const double tolerance = 5e-4 * standard_deviation(gradient);
      const auto moved = [&](auto&& move) {
        const Stage before = stage_;
        const double result = difference([&](double step) {
          move(step);
          const double loss = at(x_);
          stage_ = before;
          return loss;
        });
        return result;
      };
      if (role == Role::kMlpNorm || role == Role::kQueryNorm || role == Role::kKeyNorm) {
        for (int64_t i = 0; i < gradient.cols(); i += 3) {
          EXPECT_NEAR(gradient(0, i), moved([&](double step) {
                        norm_at(role).weight[static_cast<size_t>(i)] += static_cast<float>(step);
                      }),
                      tolerance)
              << i;
          if (norm_at(role).bias.empty()) continue;
          EXPECT_NEAR(gradient(1, i), moved([&](double step) {
                        norm_at(role).bias[static_cast<size_t>(i)] += static_cast<float>(step);
                      }),
                      tolerance)
              << i;
        }
        continue;
      }
      Weight& weight = role == Role::kMlpSkip ? stage_.skip : linear_of(stage_, role).weight;
      ASSERT_EQ(gradient.rows(), weight.rows);
      ASSERT_EQ(gradient.cols(), weight.cols);
      for (int64_t i = 0; i < gradient.size(); i += 97)
        EXPECT_NEAR(gradient.data()[i], moved([&](double step) {
                      Matrix<float> values = decode(weight);
                      values.data()[i] += static_cast<float>(step);
                      weight = Weight::from_matrix(std::as_const(values).view());
                    }),
                    tolerance)
            << i;
    }
  }

  Matrix<float> at_input;
  std::map<Role, Matrix<float>> at_outputs;
  std::map<Role, Matrix<float>> at_weights;  // of linears and the skip; norms: weight, then bias

 private:
  Norm& norm_at(Role role) {
    if (role == Role::kMlpNorm) return stage_.norm;
    auto& attention = std::get<Attention>(stage_.branches.front());
    return role == Role::kQueryNorm ? attention.q_norm : attention.k_norm;
  }

  // Keeps the gradients at the outputs and the weights of all parts.
  class Gradients final : public GradientObserver {
   public:
    explicit Gradients(StageLoss& loss) : loss_(loss) {}
    void linears(std::span<const Role> roles, const Activation& x, const Activation& dy) override {
      int64_t column = 0;
      for (const Role role : roles) {
        const Activation own = dy.columns_of(column, linear_of(loss_.stage_, role).weight.rows);
        const bool is_new = loss_.at_outputs.emplace(role, copy_of(loss_.on_.download(own).view())).second;
        EXPECT_TRUE(is_new) << role_name(role);
        add_weight(role, x, own);
        column += own.cols();
      }
      EXPECT_EQ(column, dy.cols());
    }
    void skip(const Activation& x, const Activation& dy) override { add_weight(Role::kMlpSkip, x, dy); }
    void norm(const PackedNorm& norm, const Activation& x, const Activation& dy) override {
      add_norm(Role::kMlpNorm, norm, x, dy, x.cols());
    }
    void query_key_norm(Role role, const PackedNorm& norm, const Activation& x, const Activation& dy,
                        int64_t width) override {
      add_norm(role, norm, x, dy, width);
    }

   private:
    void add_weight(Role role, const Activation& x, const Activation& dy) {
      Matrix<float> dw = Matrix<float>::zeros(dy.cols(), x.cols());
      loss_.on_.weight_adjoint(x, dy, ComputeType::kF32, dw.view());
      loss_.at_weights.emplace(role, std::move(dw));
    }
    void add_norm(Role role, const PackedNorm& norm, const Activation& x, const Activation& dy,
                  int64_t width) {
      Matrix<float>& sums = loss_.at_weights.emplace(role, Matrix<float>::zeros(2, width)).first->second;
      const auto row = [&](int64_t r) { return std::span(sums.row(r), static_cast<size_t>(width)); };
      loss_.on_.norm_weight_adjoint(norm, x, dy, width, row(0), row(1));
    }

    StageLoss& loss_;
  };

  const Backend& on_;
  RotaryTable rope_;
  Stage stage_;
  Matrix<float> x_;
  Matrix<float> weights_;
};

TEST(BackwardStage, EqualsDifferencesForEveryDesign) {
  const ReferenceBackend reference;
  size_t design = 0;
  for (const TinyModelOptions& like : every_design()) {
    const Model model = make_tiny_model(like);
    for (const Stage& stage : model.blocks.front().stages)
      for (const bool skip : {false, true}) {
        SCOPED_TRACE(testing::Message() << "design " << design << (skip ? ", with a skip" : ""));
        Stage changed = smooth(stage);
        if (skip) changed.skip = Weight::from_matrix(random_rows(like.width, like.width, 5).view());
        StageLoss loss(model.config, changed, like.width, reference);
        loss.run();
        loss.check_input();
        loss.check_outputs();
        loss.check_weights();
      }
    ++design;
  }
}

TEST(BackwardStage, OfAStageThatOnlySkips) {
  const ReferenceBackend reference;
  const Model model = make_tiny_model();
  Stage stage;
  stage.skip = Weight::from_matrix(random_rows(7, 32, 5).view());
  StageLoss loss(model.config, stage, 32, reference);
  loss.run();
  loss.check_input();
  loss.check_weights();
}

TEST(BackwardStage, IsTheSameOnTheProcessor) {
  const ReferenceBackend reference;
  for (const TinyModelOptions& like : every_design()) {
    const Model model = make_tiny_model(like);
    for (const Stage& stage : model.blocks.front().stages) {
      StageLoss expected(model.config, stage, like.width, reference);
      StageLoss got(model.config, stage, like.width, default_backend());
      expected.run();
      got.run();
      EXPECT_LT(largest_difference(got.at_input, expected.at_input),
                1e-4 * standard_deviation(expected.at_input));
      ASSERT_EQ(got.at_outputs.size(), expected.at_outputs.size());
      for (const auto& [role, gradient] : expected.at_outputs)
        EXPECT_LT(largest_difference(got.at_outputs.at(role), gradient), 1e-4 * standard_deviation(gradient))
            << role_name(role);
      ASSERT_EQ(got.at_weights.size(), expected.at_weights.size());
      for (const auto& [role, gradient] : expected.at_weights)
        EXPECT_LT(largest_difference(got.at_weights.at(role), gradient), 1e-4 * standard_deviation(gradient))
            << role_name(role);
    }
  }
}

TEST(BackwardHead, EqualsDifferences) {
  const ReferenceBackend reference;
  for (const TinyModelOptions& like : every_design()) {
    const Model model = make_tiny_model(like);
    const PackedHead head(model, ComputeType::kF32, reference);
    const int64_t width =
        model.final_norm.weight.empty() ? like.width : static_cast<int64_t>(model.final_norm.weight.size());
    const Matrix<float> x = random_rows(3, width, 1);
    const Matrix<float> to_logits = random_rows(3, model.config.vocab_size, 2);
    const auto loss = [&](const Matrix<float>& at) {
      const Activation y = reference.allocate(3, model.config.vocab_size);
      head.logits->apply(head_input(head, reference.upload(at.clone())), y);
      return inner(download(y).matrix(), to_logits);
    };
    const Matrix<float> gradient =
        download(backward_head(HeadAdjoint(model, ComputeType::kF32, reference), head,
                               reference.upload(x.clone()), reference.upload(to_logits.clone())))
            .matrix();
    for (int64_t i = 0; i < x.size(); i += 3) {
      const double expected = difference([&](double step) {
        Matrix<float> moved = x.clone();
        moved.data()[i] = static_cast<float>(moved.data()[i] + step);
        return loss(moved);
      });
      EXPECT_NEAR(gradient.data()[i], expected, 2e-4 * standard_deviation(gradient)) << i;
    }
  }
}

}  // namespace
}  // namespace pare::test
