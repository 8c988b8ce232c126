// Adjoints: the reference backend against finite differences of its own forward operations, every other
// backend against it.
#include <functional>
#include <vector>

#include "backend_fixture.h"

namespace pare::test {
namespace {

constexpr double kStep = 0x1p-6;
constexpr ActivationFunction kFunctions[] = {ActivationFunction::kSilu, ActivationFunction::kRelu,
                                             ActivationFunction::kGelu, ActivationFunction::kGeluTanh};
constexpr NormKind kNorms[] = {NormKind::kRms, NormKind::kLayer, NormKind::kNone};

using Function = std::function<Matrix<float>(const Matrix<float>& x)>;

// Returns the gradient of Σ weights·f(x) at x by central differences of fourth order.
Matrix<float> differences(const Function& f, const Matrix<float>& x, const Matrix<float>& weights) {
  Matrix<float> gradient(x.rows(), x.cols());
  for (int64_t i = 0; i < x.size(); ++i) {
    const auto loss = [&](double step) {
      Matrix<float> moved = x.clone();
      moved.data()[i] = static_cast<float>(moved.data()[i] + step);
      const Matrix<float> y = f(moved);
      double sum = 0.0;
      for (int64_t j = 0; j < y.size(); ++j)
        sum += static_cast<double>(weights.data()[j]) * static_cast<double>(y.data()[j]);
      return sum;
    };
    gradient.data()[i] = static_cast<float>(
        (8.0 * (loss(kStep) - loss(-kStep)) - (loss(2.0 * kStep) - loss(-2.0 * kStep))) / (12.0 * kStep));
  }
  return gradient;
}

Norm some_norm(NormKind kind, int64_t width, bool weighted) {
  Norm norm;
  norm.kind = kind;
  norm.divisor = static_cast<double>(width) + 0.5;
  if (!weighted) return norm;
  const Matrix<float> weight = random_rows(2, width, 8);
  norm.weight.assign(weight.row(0), weight.row(0) + width);
  if (kind == NormKind::kLayer) norm.bias.assign(weight.row(1), weight.row(1) + width);
  return norm;
}

class Adjoint : public BackendTest {};

TEST_F(Adjoint, OfNorms) {
  for (const NormKind kind : kNorms)
    for (const bool weighted : {false, true}) {
      const auto packed = reference_.pack_norm(some_norm(kind, 7, weighted));
      const Matrix<float> x = random_rows(2, 14, 1);
      const Matrix<float> dy = random_rows(2, 14, 2);
      const Function norm = [&](const Matrix<float>& at) {
        const Activation y = reference_.allocate(2, 14);
        reference_.norm(*packed, reference_.upload(at.clone()), y, 7);
        return download(y).matrix();
      };
      const Activation dx = reference_.allocate(2, 14);
      reference_.norm_adjoint(*packed, reference_.upload(x.clone()), reference_.upload(dy.clone()), dx, 7);
      expect_near(download(dx).matrix(), differences(norm, x, dy), 1e-4);
    }
}

TEST_F(Adjoint, OfNormsOnEveryBackend) {
  for (const NormKind kind : kNorms)
    for (const int64_t width : kRaggedSizes)
      for (const bool in_place : {false, true})
        compare(static_cast<double>(width + 8) * kUlp * 8, [&](const Backend& on) {
          const auto packed = on.pack_norm(some_norm(kind, width, true));
          const Activation dy = on.upload(random_rows(35, 3 * width, 10));
          const Activation dx = in_place ? dy : on.allocate(35, 3 * width);
          on.norm_adjoint(*packed, on.upload(random_rows(35, 3 * width, 9)), dy, dx, width);
          return download(dx).matrix();
        });
}

TEST_F(Adjoint, OfRotationsIsTheirInverse) {
  for (const int64_t half : {0, 1, 8, 17}) {
    const int64_t head_dim = 2 * half + 5;
    const Matrix<float> x = random_rows(21, 3 * head_dim, 9);
    Matrix<float> cos(21, half);
    Matrix<float> sin(21, half);
    for (int64_t i = 0; i < cos.size(); ++i) {
      cos.data()[i] = static_cast<float>(std::cos(0.7 * static_cast<double>(i)));
      sin.data()[i] = static_cast<float>(std::sin(0.7 * static_cast<double>(i)));
    }
    const auto back = [&](const Backend& on) {
      const RotaryTable table{on.upload(cos.clone()), on.upload(sin.clone())};
      const Activation rotated = on.upload(x.clone());
      on.rotate(table, rotated, head_dim);
      on.rotate_back(table, rotated, head_dim);
      return download(rotated).matrix();
    };
    expect_near(back(reference_), x, 1e-6);
    compare(1e-6, back);
  }
}

TEST_F(Adjoint, OfActivations) {
  for (const ActivationFunction function : kFunctions) {
    SCOPED_TRACE(static_cast<int>(function));
    const int64_t columns = function == ActivationFunction::kSilu ? 10 : 5;
    Matrix<float> x = random_rows(3, columns, 1);
    // Away from the bend of relu, which has no derivative there.
    for (int64_t i = 0; i < x.size(); ++i) x.data()[i] += x.data()[i] < 0.0f ? -0.1f : 0.1f;
    const Matrix<float> dy = random_rows(3, 5, 2);
    const Function activate = [&](const Matrix<float>& at) {
      const Activation y = reference_.upload(at.clone());
      reference_.activate(function, y, 5);
      return copy_of(download(y).view().block(0, 0, 3, 5));
    };
    Matrix<float> d = Matrix<float>::zeros(3, columns);
    copy_rows(dy.view(), d.view().block(0, 0, 3, 5));
    const Activation gradient = reference_.upload(std::move(d));
    reference_.activate_adjoint(function, reference_.upload(x.clone()), 5, gradient);
    expect_near(download(gradient).matrix(), differences(activate, x, dy), 1e-4);
  }
}

TEST_F(Adjoint, OfActivationsOnEveryBackend) {
  for (const ActivationFunction function : kFunctions)
    for (const int64_t hidden : kRaggedSizes)
      compare(kUlp * 64, [&](const Backend& on) {
        const int64_t columns = function == ActivationFunction::kSilu ? 2 * hidden : hidden;
        const Activation gradient = on.upload(random_rows(18, columns, 10));
        on.activate_adjoint(function, on.upload(random_rows(18, columns, 9, 3.0)), hidden, gradient);
        return download(gradient).matrix();
      });
}

TEST_F(Adjoint, OfWeightsOnEveryBackend) {
  for (const ComputeType compute_type : {ComputeType::kF32, ComputeType::kBF16})
    for (const int64_t width : kRaggedSizes)
      compare(1e-5, [&](const Backend& on) {
        const Matrix<float> x = random_rows(37, width, 9);
        const Matrix<float> dy = random_rows(37, 19, 10);
        Matrix<float> dw = random_rows(19, width, 11);
        on.weight_adjoint(on.upload(x.clone()), on.upload(dy.clone()), compute_type, dw.view());
        return dw;
      });
}

// Rows of a part of a batch, whose stride is not its width; channels for whole tiles and for parts of some.
TEST_F(Adjoint, OfWeightsTakesPartsOfRows) {
  for (const ComputeType compute_type : {ComputeType::kF32, ComputeType::kBF16})
    for (const int64_t width : {33, 96, 330})
      compare(1e-5, [&](const Backend& on) {
        const Activation x = on.upload(random_rows(700, width + 7, 9)).block(3, 5, 690, width);
        const Activation dy = on.upload(random_rows(690, 600, 10)).columns_of(40, 530);
        Matrix<float> dw = random_rows(530, width, 11);
        on.weight_adjoint(x, dy, compute_type, dw.view());
        return dw;
      });
}

TEST_F(Adjoint, OfBiasesAndRowsAddsUp) {
  const Matrix<float> dy = random_rows(35, 70, 10);
  std::vector<float> db(70, 1.0f);
  reference_.bias_adjoint(reference_.upload(dy.clone()), db);
  std::vector<int64_t> rows;
  for (int64_t t = 0; t < dy.rows(); ++t) rows.push_back(t * t % 5);
  Matrix<float> table = Matrix<float>::zeros(5, 70);
  reference_.gather_adjoint(rows, reference_.upload(dy.clone()), table.view());
  for (int64_t c = 0; c < 70; ++c) {
    double sum = 0.0;
    double of_row = 0.0;
    for (int64_t t = 0; t < dy.rows(); ++t) {
      sum += dy(t, c);
      if (rows[static_cast<size_t>(t)] == 4) of_row += dy(t, c);
    }
    EXPECT_NEAR(db[static_cast<size_t>(c)], 1.0 + sum, 1e-5);
    EXPECT_NEAR(table(4, c), of_row, 1e-5);
  }
}

// Two sequences, side by side in a batch of queries, keys and values.
struct Sequences {
  AttentionShape shape;
  std::vector<Segment> segments;
  int64_t rows;

  Sequences(AttentionShape heads, std::vector<int64_t> lengths) : shape(heads), rows(0) {
    for (const int64_t length : lengths) {
      segments.push_back({rows, length, 0, nullptr});
      rows += length;
    }
  }
  int64_t width() const { return shape.queries_width() + shape.keys_width() + shape.values_width(); }
  Activation q(const Activation& x) const { return x.columns_of(0, shape.queries_width()); }
  Activation k(const Activation& x) const { return x.columns_of(shape.queries_width(), shape.keys_width()); }
  Activation v(const Activation& x) const {
    return x.columns_of(shape.queries_width() + shape.keys_width(), shape.values_width());
  }
  // The gradient at x (rows, width()), queries, keys and values side by side.
  Matrix<float> gradient(const Backend& on, const Matrix<float>& x, const Matrix<float>& dy) const {
    const Activation at = on.upload(x.clone());
    const Activation d = on.allocate(rows, width());
    on.attend_adjoint(shape, segments, q(at), k(at), v(at), on.upload(dy.clone()), q(d), k(d), v(d));
    return download(d).matrix();
  }
};

TEST_F(Adjoint, OfAttention) {
  const Sequences sequences({.heads = 4, .kv_heads = 2, .head_dim = 3, .value_head_dim = 2}, {5, 1, 3});
  const Matrix<float> x = random_rows(sequences.rows, sequences.width(), 1);
  const Matrix<float> dy = random_rows(sequences.rows, sequences.shape.context_width(), 2);
  const Function attend = [&](const Matrix<float>& at) {
    std::vector<std::unique_ptr<KvStore>> stores;
    std::vector<Segment> segments = sequences.segments;
    for (Segment& segment : segments) {
      stores.push_back(reference_.make_kv(sequences.shape, segment.rows));
      segment.kv = stores.back().get();
    }
    const Activation rows = reference_.upload(at.clone());
    reference_.append(sequences.shape, segments, sequences.k(rows), sequences.v(rows));
    const Activation y = reference_.allocate(sequences.rows, sequences.shape.context_width());
    reference_.attend(sequences.shape, segments, sequences.q(rows), y);
    return download(y).matrix();
  };
  expect_near(sequences.gradient(reference_, x, dy), differences(attend, x, dy), 1e-4);
}

TEST_F(Adjoint, OfAttentionOnEveryBackend) {
  for (const AttentionShape& shape :
       {AttentionShape{.heads = 6, .kv_heads = 2, .head_dim = 16, .value_head_dim = 16},
        AttentionShape{.heads = 3, .kv_heads = 3, .head_dim = 5, .value_head_dim = 7},
        AttentionShape{.heads = 70, .kv_heads = 1, .head_dim = 4, .value_head_dim = 4}}) {
    const Sequences sequences(shape, {70, 1, 33});
    const Matrix<float> x = random_rows(sequences.rows, sequences.width(), 1);
    const Matrix<float> dy = random_rows(sequences.rows, shape.context_width(), 2);
    compare(1e-5, [&](const Backend& on) { return sequences.gradient(on, x, dy); });
  }
}

}  // namespace
}  // namespace pare::test
