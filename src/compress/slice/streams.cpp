#include "compress/slice/streams.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "compress/calibrate/input_group.h"
#include "compress/slice/masked_refit.h"
#include "compress/slice/spectrum.h"
#include "kernels/backend.h"
#include "tensor/sparse_weight.h"

namespace pare {
namespace {

const Branch& branch_of(const Stage& stage, size_t branch) {
  PARE_CHECK(branch < stage.branches.size());
  return stage.branches[branch];
}

double inner(const Matrix<double>& a, const Matrix<double>& b) {
  return std::inner_product(a.data(), a.data() + a.size(), b.data(), 0.0);
}

void gather_bias(std::vector<float>& bias, const std::vector<int64_t>& rows) {
  if (bias.empty()) return;
  std::vector<float> kept;
  for (const int64_t r : rows) kept.push_back(bias[static_cast<size_t>(r)]);
  bias = std::move(kept);
}

// Energies gram_jj·‖W_down[:, j]‖² of neurons.
std::vector<double> neuron_energies(const Matrix<double>& down, MatrixView<const double> gram) {
  std::vector<double> energy(static_cast<size_t>(down.cols()), 0.0);
  for (int64_t r = 0; r < down.rows(); ++r)
    for (int64_t c = 0; c < down.cols(); ++c) energy[static_cast<size_t>(c)] += down(r, c) * down(r, c);
  for (int64_t c = 0; c < down.cols(); ++c) energy[static_cast<size_t>(c)] *= gram(c, c);
  return energy;
}

// Neurons by decreasing energy, in groups of consecutive ones that stay together.
std::vector<int64_t> by_energy(const std::vector<double>& energy, int64_t group) {
  std::vector<double> of_group(energy.size() / static_cast<size_t>(group), 0.0);
  for (size_t i = 0; i < energy.size(); ++i) of_group[i / static_cast<size_t>(group)] += energy[i];
  std::vector<int64_t> groups(of_group.size());
  std::iota(groups.begin(), groups.end(), 0);
  std::stable_sort(groups.begin(), groups.end(), [&](int64_t a, int64_t b) {
    return of_group[static_cast<size_t>(a)] > of_group[static_cast<size_t>(b)];
  });
  std::vector<int64_t> order;
  for (const int64_t g : groups)
    for (int64_t i = 0; i < group; ++i) order.push_back(g * group + i);
  return order;
}

// Symmetric square root of a positive semi-definite matrix and its pseudo-inverse.
struct SquareRoot {
  Matrix<double> root;
  Matrix<double> inverse;
};
SquareRoot square_root(const Matrix<double>& m) {
  const Eigen e = eigh(m.view());
  const double floor = std::max(e.values.front(), 0.0) * default_backend().gram_rounding();
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

// Encoder of one KV head, (dim, dim): rows of Vᵀ·H^-½ for the right singular vectors V of M^½·H^½. Adds the
// squares of the singular values to `energies` (dim).
Matrix<double> value_encoder(const Attention& a, const Matrix<double>& o, MatrixView<const double> gram,
                             int64_t kv_head, std::vector<double>& energies) {
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
  for (size_t i = 0; i < energies.size(); ++i) energies[i] += e.values[i];
  return matmul_tn(e.vectors.view(), root.inverse.view());
}

}  // namespace

StreamKind stream_kind(const Stage& stage, size_t branch) {
  return std::holds_alternative<Mlp>(branch_of(stage, branch)) ? StreamKind::kHidden : StreamKind::kValue;
}

Role stream_reader(const Stage& stage, size_t branch) {
  return stream_kind(stage, branch) == StreamKind::kHidden ? Role::kDown : Role::kAttentionOutput;
}

int64_t stream_width(const Stage& stage, size_t branch) {
  if (const auto* a = std::get_if<Attention>(&branch_of(stage, branch))) return a->value_head_dim;
  return std::get<Mlp>(branch_of(stage, branch)).down.weight.cols;
}

int64_t stream_columns(const Stage& stage, size_t branch) {
  if (const auto* a = std::get_if<Attention>(&branch_of(stage, branch))) return a->o.weight.cols;
  return std::get<Mlp>(branch_of(stage, branch)).down.weight.cols;
}

int64_t hidden_granularity(const Model& model, int64_t interval) {
  for (const Block& block : model.blocks)
    for (const Stage& stage : block.stages)
      for (const Branch& branch : stage.branches)
        if (const auto* mlp = std::get_if<Mlp>(&branch))
          if (const Pattern pattern = followed_pattern(mlp->down.weight); !pattern.dense())
            interval = std::lcm(interval, static_cast<int64_t>(pattern.group));
  return interval;
}

std::vector<StreamPlace> streams_of(const Model& model) {
  std::vector<StreamPlace> streams;
  size_t index = 0;
  for (const Block& block : model.blocks)
    for (const Stage& stage : block.stages) {
      for (size_t branch = 0; branch < stage.branches.size(); ++branch) streams.push_back({index, branch});
      ++index;
    }
  return streams;
}

int64_t parameters_per_width(const Stage& stage, size_t branch) {
  if (const auto* a = std::get_if<Attention>(&branch_of(stage, branch)))
    return a->kv_heads * (a->v.weight.cols + (a->v.bias.empty() ? 0 : 1)) + a->heads * a->o.weight.rows;
  const Mlp& m = std::get<Mlp>(branch_of(stage, branch));
  return m.gate.weight.cols + m.up.weight.cols + m.down.weight.rows + (m.gate.bias.empty() ? 0 : 1) +
         (m.up.bias.empty() ? 0 : 1);
}

std::vector<Matrix<double>> run_for_grams(const Stage& stage, const std::vector<size_t>& branches,
                                          const SampleSplit& split,
                                          const std::function<void(const Observer&)>& run, KeptRows* kept) {
  PARE_CHECK(kept == nullptr || branches.size() == 1);
  std::vector<InputSum> sums;
  for (const size_t branch : branches)
    sums.emplace_back(signal_read_by(stream_reader(stage, branch)), stream_columns(stage, branch), split,
                      kept);
  run(adding_to(sums));
  std::vector<Matrix<double>> grams;
  for (InputSum& sum : sums) grams.push_back(std::move(sum).gram());
  return grams;
}

StreamCutter::StreamCutter(const Stage& stage, MatrixView<const double> gram, int64_t max_width, double ridge,
                           size_t branch)
    : stage_(stage), branch_(branch) {
  PARE_CHECK(max_width >= 1 && max_width <= stream_width(stage, branch) &&
             gram.rows == stream_columns(stage, branch));
  const bool hidden = stream_kind(stage, branch) == StreamKind::kHidden;
  const Branch& cut = stage.branches[branch];
  units_ = hidden ? 1 : std::get<Attention>(cut).heads;
  const Matrix<double> reader =
      decode_f64(hidden ? std::get<Mlp>(cut).down.weight : std::get<Attention>(cut).o.weight);
  const Matrix<double> output = matmul(reader.view(), gram);  // W·G
  total_ = inner(output, reader);
  // In the new basis, whose first units come first: W·G·Eᵀ and E·G·Eᵀ.
  Matrix<double> cross(reader.rows(), max_width * units_);
  Matrix<double> basis_gram(max_width * units_, max_width * units_);
  double scale = 0.0;
  if (hidden) {
    const Pattern pattern = followed_pattern(std::get<Mlp>(cut).down.weight);
    if (!pattern.dense() && max_width % pattern.group == 0) pattern_ = pattern;
    const std::vector<double> energies = neuron_energies(reader, gram);
    spectrum_ = spectrum_of(energies);
    order_ = by_energy(energies, pattern_.dense() ? 1 : pattern_.group);
    order_.resize(static_cast<size_t>(max_width));
    const auto column = [&](int64_t i) { return order_[static_cast<size_t>(i)]; };
    for (int64_t r = 0; r < cross.rows(); ++r)
      for (int64_t i = 0; i < max_width; ++i) cross(r, i) = output(r, column(i));
    for (int64_t i = 0; i < max_width; ++i)
      for (int64_t j = 0; j < max_width; ++j) basis_gram(i, j) = gram(column(i), column(j));
    scale = mean_diagonal(gram);
  } else {
    encode_heads(reader, output, gram, max_width, cross, basis_gram);
    scale = mean_diagonal(std::as_const(basis_gram).view());
  }
  if (!(scale > 0.0)) return;  // a stream that is always 0
  damping_ = ridge * scale;
  for (int64_t i = 0; i < basis_gram.rows(); ++i) basis_gram(i, i) += damping_;
  if (!pattern_.dense()) {
    sparse_reader_ = Matrix<double>(reader.rows(), max_width);
    for (int64_t r = 0; r < reader.rows(); ++r)
      for (int64_t i = 0; i < max_width; ++i)
        sparse_reader_(r, i) = reader(r, order_[static_cast<size_t>(i)]);
    damped_gram_ = basis_gram.clone();
  }
  factor_.emplace(std::move(basis_gram));
  damping_ += factor_->added();
  forward_ = factor_->forward(std::as_const(cross).view());
  cross_ = std::move(cross);
}

// W·G·Eᵀ and E·G·Eᵀ for the encoders of all heads; row i·heads + h of E is dimension i of head h.
void StreamCutter::encode_heads(const Matrix<double>& reader, const Matrix<double>& output,
                                MatrixView<const double> gram, int64_t max_width, Matrix<double>& cross,
                                Matrix<double>& basis_gram) {
  const Attention& a = std::get<Attention>(stage_.branches[branch_]);
  const int64_t dim = a.value_head_dim;
  const int64_t group = a.heads / a.kv_heads;
  Matrix<double> encoder = Matrix<double>::zeros(max_width * units_, gram.rows);
  std::vector<double> energies(static_cast<size_t>(dim), 0.0);
  for (int64_t kv = 0; kv < a.kv_heads; ++kv) {
    encoders_.push_back(value_encoder(a, reader, gram, kv, energies));
    for (int64_t head = kv * group; head < (kv + 1) * group; ++head)
      for (int64_t i = 0; i < max_width; ++i)
        std::copy_n(encoders_.back().row(i), dim, encoder.row(i * units_ + head) + head * dim);
  }
  spectrum_ = spectrum_of(std::move(energies));
  gemm(false, true, 1.0, output.view(), std::as_const(encoder).view(), 0.0, cross.view());
  const Matrix<double> half = matmul(std::as_const(encoder).view(), gram);
  gemm(false, true, 1.0, half.view(), std::as_const(encoder).view(), 0.0, basis_gram.view());
}

double StreamCutter::local_error(int64_t width) const {
  if (!factor_ || !(total_ > 0.0)) return 0.0;
  double kept = 0.0;
  for (int64_t r = 0; r < forward_.rows(); ++r)
    for (int64_t c = 0; c < width * units_; ++c) kept += forward_(r, c) * forward_(r, c);
  return (total_ - kept) / total_;
}

StreamCut StreamCutter::cut(int64_t width) const {
  const int64_t columns = width * units_;
  StreamCut result;
  result.stage = stage_;
  result.spectrum = spectrum_;
  Matrix<double> weight = Matrix<double>::zeros(stage_output(), columns);
  if (factor_) {
    weight = factor_->backward(forward_.view().block(0, 0, forward_.rows(), columns));
    result.raised = factor_->raised();
    if (!pattern_.dense() && width % pattern_.group == 0) refit_in_pattern(weight);
    // ‖Wz − W'Ez‖² = tr(W·G·Wᵀ) − 2·tr(W'·(W·G·Eᵀ)ᵀ) + tr(W'·E·G·Eᵀ·W'ᵀ); the best W' without a pattern has
    // W'·(E·G·Eᵀ + λI) = W·G·Eᵀ.
    const double own = damping_ * inner(weight, weight);
    double crossed = 0.0;
    for (int64_t r = 0; r < weight.rows(); ++r)
      crossed += std::inner_product(weight.row(r), weight.row(r) + columns, cross_.row(r), 0.0);
    const double squares =
        pattern_.dense()
            ? crossed
            : inner(matmul(weight.view(), damped_gram_.view().block(0, 0, columns, columns)), weight);
    const double kept = 2.0 * crossed - squares + own;
    if (total_ > 0.0) result.relative_error = (total_ - kept) / total_;
  }
  if (stream_kind(stage_, branch_) == StreamKind::kHidden)
    keep_neurons(weight, result.stage);
  else
    keep_values(weight, width, result);
  return result;
}

// `weight` (out, width): the best reader of the neurons in order_, which becomes the best of the pattern.
void StreamCutter::refit_in_pattern(Matrix<double>& weight) const {
  const int64_t width = weight.cols();
  const Matrix<double> own = copy_of(sparse_reader_.view().block(0, 0, weight.rows(), width));
  weight = masked_refit(own, weight, damped_gram_.view().block(0, 0, width, width), pattern_);
}

int64_t StreamCutter::stage_output() const {
  if (const auto* a = std::get_if<Attention>(&stage_.branches[branch_])) return a->o.weight.rows;
  return std::get<Mlp>(stage_.branches[branch_]).down.weight.rows;
}

// `weight` (out, width): the refitted reader of the neurons in order_. They keep their order in the model.
void StreamCutter::keep_neurons(const Matrix<double>& weight, Stage& stage) const {
  Mlp& mlp = std::get<Mlp>(stage.branches[branch_]);
  std::vector<size_t> position(static_cast<size_t>(weight.cols()));
  std::iota(position.begin(), position.end(), 0);
  std::sort(position.begin(), position.end(), [&](size_t a, size_t b) { return order_[a] < order_[b]; });
  std::vector<int64_t> kept;
  Matrix<float> down(weight.rows(), weight.cols());
  for (size_t i = 0; i < position.size(); ++i) {
    kept.push_back(order_[position[i]]);
    for (int64_t r = 0; r < weight.rows(); ++r)
      down(r, static_cast<int64_t>(i)) = static_cast<float>(weight(r, static_cast<int64_t>(position[i])));
  }
  mlp.down.weight = Weight::from_matrix(std::as_const(down).view());
  for (Linear* linear : {&mlp.gate, &mlp.up}) {
    if (linear->weight.empty()) continue;
    linear->weight = gather_rows(linear->weight, kept);
    gather_bias(linear->bias, kept);
  }
}

// `weight` (out, width·heads): the refitted reader of the encoded values.
void StreamCutter::keep_values(const Matrix<double>& weight, int64_t width, StreamCut& cut) const {
  Attention& a = std::get<Attention>(cut.stage.branches[branch_]);
  const int64_t dim = a.value_head_dim;
  const int64_t group = a.heads / a.kv_heads;
  const Matrix<double> v = decode_f64(a.v.weight);
  Matrix<double> new_v(a.kv_heads * width, v.cols());
  std::vector<float> new_bias;
  for (int64_t kv = 0; kv < a.kv_heads; ++kv) {
    const Matrix<double>& encoder = encoders_[static_cast<size_t>(kv)];
    gemm(false, false, 1.0, encoder.view().rows_of(0, width), v.view().rows_of(kv * dim, dim), 0.0,
         new_v.view().rows_of(kv * width, width));
    for (int64_t i = 0; i < (a.v.bias.empty() ? 0 : width); ++i)
      new_bias.push_back(static_cast<float>(
          std::inner_product(encoder.row(i), encoder.row(i) + dim,
                             a.v.bias.begin() + static_cast<std::ptrdiff_t>(kv * dim), 0.0)));
  }
  Matrix<double> new_o(weight.rows(), weight.cols());  // head by head again
  for (int64_t r = 0; r < weight.rows(); ++r)
    for (int64_t head = 0; head < a.heads; ++head)
      for (int64_t i = 0; i < width; ++i) new_o(r, head * width + i) = weight(r, i * units_ + head);
  cut.reader_change = decode_f64(a.o.weight);
  for (int64_t i = 0; i < cut.reader_change.size(); ++i) cut.reader_change.data()[i] *= -1.0;
  for (int64_t head = 0; head < a.heads; ++head)
    gemm(false, false, 1.0, std::as_const(new_o).view().block(0, head * width, new_o.rows(), width),
         encoders_[static_cast<size_t>(head / group)].view().rows_of(0, width), 1.0,
         cut.reader_change.view().block(0, head * dim, new_o.rows(), dim));
  a.o.weight = Weight::from_matrix(std::as_const(new_o).view());
  a.v.weight = Weight::from_matrix(std::as_const(new_v).view());
  a.v.bias = std::move(new_bias);
  a.value_head_dim = width;
}

StreamCut cut_stream(const Stage& stage, MatrixView<const double> gram, int64_t width, double ridge,
                     size_t branch) {
  return StreamCutter(stage, gram, width, ridge, branch).cut(width);
}

}  // namespace pare
