#include "compress/slice/streams.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/build.h"

namespace pare {
namespace {

double mean_diagonal(MatrixView<const double> m) {
  double sum = 0.0;
  for (int64_t i = 0; i < m.rows; ++i) sum += m(i, i);
  return sum / static_cast<double>(m.rows);
}

// W' (out, k) minimising ‖W z − W' E z‖² + λ‖W' ‖²: W·G·Eᵀ·(E·G·Eᵀ + λI)⁻¹, given EG (k, n) and EGEᵀ (k, k).
struct Refit {
  Matrix<double> weight;
  double relative_error;
  int raised;
};
Refit refit_reader(const Matrix<double>& w, MatrixView<const double> gram, const Matrix<double>& e_gram,
                   Matrix<double> e_gram_et, double ridge) {
  const double scale = mean_diagonal(std::as_const(e_gram_et).view());
  const double damping = ridge * scale;
  for (int64_t i = 0; i < e_gram_et.rows(); ++i) e_gram_et(i, i) += damping;
  const Matrix<double> cross = matmul_nt(w.view(), e_gram.view());  // (out, k)
  Refit refit;
  refit.raised = 0;
  refit.weight = scale > 0.0
                     ? solve_spd_right(std::as_const(e_gram_et).view(), cross.view(), &refit.raised)
                     : Matrix<double>::zeros(cross.rows(), cross.cols());  // a stream that is always 0
  // ‖Wz − W'Ez‖² = tr(W G Wᵀ) − 2 tr(W' (W G Eᵀ)ᵀ) + tr(W' (E G Eᵀ) W'ᵀ)
  for (int64_t i = 0; i < e_gram_et.rows(); ++i) e_gram_et(i, i) -= damping;
  const auto inner = [](const Matrix<double>& a, const Matrix<double>& b) {
    return std::inner_product(a.data(), a.data() + a.size(), b.data(), 0.0);
  };
  const double total = inner(matmul(w.view(), gram), w);
  const double kept =
      2.0 * inner(refit.weight, cross) -
      inner(matmul(std::as_const(refit.weight).view(), std::as_const(e_gram_et).view()), refit.weight);
  refit.relative_error = total > 0.0 ? (total - kept) / total : 0.0;
  return refit;
}

void gather_bias(std::vector<float>& bias, const std::vector<int64_t>& rows) {
  if (bias.empty()) return;
  std::vector<float> kept;
  for (const int64_t r : rows) kept.push_back(bias[static_cast<size_t>(r)]);
  bias = std::move(kept);
}

StreamCut cut_hidden(const Stage& stage, MatrixView<const double> gram, int64_t width, double ridge) {
  StreamCut cut{stage, 0.0, 0};
  Mlp& mlp = std::get<Mlp>(cut.stage.branches.front());
  const Matrix<double> down = decode_f64(mlp.down.weight);
  std::vector<double> energy(static_cast<size_t>(down.cols()), 0.0);
  for (int64_t r = 0; r < down.rows(); ++r)
    for (int64_t c = 0; c < down.cols(); ++c) energy[static_cast<size_t>(c)] += down(r, c) * down(r, c);
  for (int64_t c = 0; c < down.cols(); ++c) energy[static_cast<size_t>(c)] *= gram(c, c);
  std::vector<int64_t> kept(energy.size());
  std::iota(kept.begin(), kept.end(), 0);
  std::stable_sort(kept.begin(), kept.end(), [&](int64_t a, int64_t b) {
    return energy[static_cast<size_t>(a)] > energy[static_cast<size_t>(b)];
  });
  kept.resize(static_cast<size_t>(width));
  std::sort(kept.begin(), kept.end());

  Matrix<double> e_gram(width, gram.cols);
  Matrix<double> e_gram_et(width, width);
  for (int64_t i = 0; i < width; ++i) {
    const double* row = gram.row(kept[static_cast<size_t>(i)]);
    std::copy_n(row, gram.cols, e_gram.row(i));
    for (int64_t j = 0; j < width; ++j) e_gram_et(i, j) = row[kept[static_cast<size_t>(j)]];
  }
  const Refit refit = refit_reader(down, gram, e_gram, std::move(e_gram_et), ridge);
  mlp.down.weight = Weight::from_matrix(refit.weight.view());
  for (Linear* linear : {&mlp.gate, &mlp.up}) {
    linear->weight = gather_rows(linear->weight, kept);
    gather_bias(linear->bias, kept);
  }
  cut.relative_error = refit.relative_error;
  cut.raised = refit.raised;
  return cut;
}

// Symmetric square root of a positive semi-definite matrix and its pseudo-inverse.
struct SquareRoot {
  Matrix<double> root;
  Matrix<double> inverse;
};
SquareRoot square_root(const Matrix<double>& m) {
  const Eigen e = eigh(m.view());
  const double floor = std::max(e.values.front(), 0.0) * 1e-10;
  Matrix<double> scaled = e.vectors.clone();
  Matrix<double> scaled_inverse = e.vectors.clone();
  for (int64_t j = 0; j < m.cols(); ++j) {
    const double value = e.values[static_cast<size_t>(j)];
    const double root = std::sqrt(std::max(value, 0.0));
    for (int64_t i = 0; i < m.rows(); ++i) {
      scaled(i, j) *= root;
      scaled_inverse(i, j) *= value > floor ? 1.0 / root : 0.0;
    }
  }
  return {matmul_nt(std::as_const(scaled).view(), e.vectors.view()),
          matmul_nt(std::as_const(scaled_inverse).view(), e.vectors.view())};
}

// Encoder of one KV head, (width, dim): rows of Vᵀ·H^-½ for the leading right singular vectors V of M^½·H^½.
Matrix<double> value_encoder(const Attention& a, const Matrix<double>& o, MatrixView<const double> gram,
                             int64_t kv_head, int64_t width) {
  const int64_t dim = a.value_head_dim;
  const int64_t group = a.heads / a.kv_heads;
  Matrix<double> h = Matrix<double>::zeros(dim, dim);
  Matrix<double> m = Matrix<double>::zeros(dim, dim);
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    const MatrixView<const double> columns = o.view().block(0, head * dim, o.rows(), dim);
    gemm(true, false, 1.0, columns, columns, 1.0, m.view());
    for (int64_t i = 0; i < dim; ++i)
      for (int64_t j = 0; j < dim; ++j) h(i, j) += gram(head * dim + i, head * dim + j);
  }
  const SquareRoot root = square_root(h);
  // Right singular vectors of M^½·H^½ are the eigenvectors of H^½·M·H^½.
  const Matrix<double> weighted =
      matmul(matmul(root.root.view(), std::as_const(m).view()).view(), root.root.view());
  const Eigen e = eigh(weighted.view());
  return matmul_tn(e.vectors.view().block(0, 0, dim, width), root.inverse.view());
}

StreamCut cut_value(const Stage& stage, MatrixView<const double> gram, int64_t width, double ridge) {
  StreamCut cut{stage, 0.0, 0};
  Attention& a = std::get<Attention>(cut.stage.branches.front());
  const int64_t dim = a.value_head_dim;
  const int64_t group = a.heads / a.kv_heads;
  const Matrix<double> o = decode_f64(a.o.weight);
  const Matrix<double> v = decode_f64(a.v.weight);
  Matrix<double> new_v(a.kv_heads * width, v.cols());
  std::vector<float> new_bias(a.v.bias.empty() ? 0 : static_cast<size_t>(new_v.rows()));
  // E of all query heads: block diagonal, (heads·width, heads·dim).
  Matrix<double> encoder = Matrix<double>::zeros(a.heads * width, a.heads * dim);
  for (int64_t kv = 0; kv < a.kv_heads; ++kv) {
    const Matrix<double> e = value_encoder(a, o, gram, kv, width);
    gemm(false, false, 1.0, e.view(), v.view().rows_of(kv * dim, dim), 0.0,
         new_v.view().rows_of(kv * width, width));
    for (size_t i = 0; i < new_bias.size() / static_cast<size_t>(a.kv_heads); ++i) {
      double sum = 0.0;
      for (int64_t j = 0; j < dim; ++j)
        sum += e(static_cast<int64_t>(i), j) * a.v.bias[static_cast<size_t>(kv * dim + j)];
      new_bias[static_cast<size_t>(kv * width) + i] = static_cast<float>(sum);
    }
    for (int64_t head = kv * group; head < (kv + 1) * group; ++head)
      for (int64_t i = 0; i < width; ++i)
        std::copy_n(e.row(i), dim, encoder.row(head * width + i) + head * dim);
  }
  const Matrix<double> e_gram = matmul(std::as_const(encoder).view(), gram);
  Matrix<double> e_gram_et = matmul_nt(e_gram.view(), std::as_const(encoder).view());
  const Refit refit = refit_reader(o, gram, e_gram, std::move(e_gram_et), ridge);
  a.o.weight = Weight::from_matrix(refit.weight.view());
  a.v.weight = Weight::from_matrix(std::as_const(new_v).view());
  a.v.bias = std::move(new_bias);
  a.value_head_dim = width;
  cut.relative_error = refit.relative_error;
  cut.raised = refit.raised;
  return cut;
}

}  // namespace

StreamKind stream_kind(const Stage& stage) {
  PARE_CHECK(!stage.branches.empty());
  return std::holds_alternative<Mlp>(stage.branches.front()) ? StreamKind::kHidden : StreamKind::kValue;
}

int64_t stream_width(const Stage& stage) {
  if (const auto* a = std::get_if<Attention>(&stage.branches.front())) return a->value_head_dim;
  return std::get<Mlp>(stage.branches.front()).down.weight.cols;
}

int64_t stream_columns(const Stage& stage) {
  if (const auto* a = std::get_if<Attention>(&stage.branches.front())) return a->o.weight.cols;
  return std::get<Mlp>(stage.branches.front()).down.weight.cols;
}

int64_t parameters_per_width(const Stage& stage) {
  if (const auto* a = std::get_if<Attention>(&stage.branches.front()))
    return a->kv_heads * (a->v.weight.cols + (a->v.bias.empty() ? 0 : 1)) + a->heads * a->o.weight.rows;
  const Mlp& m = std::get<Mlp>(stage.branches.front());
  return m.gate.weight.cols + m.up.weight.cols + m.down.weight.rows + (m.gate.bias.empty() ? 0 : 1) +
         (m.up.bias.empty() ? 0 : 1);
}

Observer stream_gram_observer(const Stage& stage, Matrix<double>& gram) {
  const bool hidden = stream_kind(stage) == StreamKind::kHidden;
  const Signal wanted = hidden ? Signal::kHiddenStream : Signal::kValueStream;
  return [wanted, &gram](Signal signal, MatrixView<const float> x) {
    if (signal == wanted) gram_accumulate(x, nullptr, gram.view());
  };
}

StreamCut cut_stream(const Stage& stage, MatrixView<const double> gram, int64_t width, double ridge) {
  PARE_CHECK(width >= 1 && width <= stream_width(stage) && gram.rows == stream_columns(stage));
  return stream_kind(stage) == StreamKind::kHidden ? cut_hidden(stage, gram, width, ridge)
                                                   : cut_value(stage, gram, width, ridge);
}

}  // namespace pare
