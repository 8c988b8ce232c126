#include "compress/slice/residual.h"

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "compress/calibration_walk.h"
#include "compress/probe.h"
#include "compress/slice/fuse.h"
#include "compress/slice/rotate.h"
#include "model/visit.h"

namespace pare {
namespace {

// H += Σ xxᵀ, or of x after its RMS norm (SliceGPT eq. 8).
void add_covariance(MatrixView<const float> x, const Norm& norm, Covariance kind, Matrix<double>& h) {
  if (kind == Covariance::kRaw) return gram_accumulate(x, nullptr, h.view());
  std::vector<double> weights(static_cast<size_t>(x.rows));
  for (int64_t t = 0; t < x.rows; ++t) {
    double sum = 0.0;
    for (int64_t c = 0; c < x.cols; ++c) sum += static_cast<double>(x(t, c)) * x(t, c);
    weights[static_cast<size_t>(t)] = 1.0 / (sum / norm.divisor + norm.eps);
  }
  gram_accumulate(x, weights.data(), h.view());
}

Matrix<double> principal_components(MatrixView<const float> x, const Norm& norm, Covariance kind) {
  Matrix<double> h = Matrix<double>::zeros(x.cols, x.cols);
  add_covariance(x, norm, kind, h);
  return std::move(eigh(std::as_const(h).view()).vectors);
}

// The norm that reads the output of stage `s` of block `b`.
const Norm& next_norm(const Model& model, size_t b, size_t s) {
  if (s + 1 < model.blocks[b].stages.size()) return model.blocks[b].stages[s + 1].norm;
  return b + 1 < model.blocks.size() ? model.blocks[b + 1].stages.front().norm : model.final_norm;
}

// x·Q for f32 x (tokens, D), Q (D, d).
Matrix<float> project(MatrixView<const float> x, MatrixView<const double> q) {
  const Matrix<double> transposed = [&] {
    Matrix<double> t(q.cols, q.rows);
    for (int64_t i = 0; i < q.rows; ++i)
      for (int64_t j = 0; j < q.cols; ++j) t(j, i) = q(i, j);
    return t;
  }();
  const auto packed = pack_linear(Weight::from_matrix(transposed.view()), ComputeType::kF32);
  Matrix<float> y(x.rows, q.cols);
  packed->apply(x, y.view());
  return y;
}

void rotate_ends(Model& model, MatrixView<const double> q_first, MatrixView<const double> q_last) {
  if (!model.head_transform.empty()) {
    // Tied: logits = E·T·x = (E·Q0)·(Q0ᵀ·T·Q)·(Qᵀ·x). Fusing left untied heads no transform.
    model.head_transform = rotate_writer(rotate_reader(model.head_transform, q_last), q_first);
  } else {
    model.head = rotate_reader(model.head, q_last);
  }
  model.embedding = rotate_reader(model.embedding, q_first);
}

Matrix<float> copy_rows(MatrixView<const float> x, int64_t rows) {
  Matrix<float> copy(rows, x.cols);
  for (int64_t r = 0; r < rows; ++r) std::copy_n(x.row(r), x.cols, copy.row(r));
  return copy;
}

// The beginning of the first calibration sequence, to check single stages on.
CalibrationSet probe_set(const CalibrationSet& set) {
  CalibrationSet probe;
  probe.sequences.push_back(set.sequences.front());
  probe.sequences.front().resize(std::min<size_t>(32, probe.sequences.front().size()));
  return probe;
}

// A stage at full width in the new bases must compute what it does in the old ones. `stream`: its input on
// the probe.
void check_rotation(const Stage& stage, const Matrix<double>& q_in, const Matrix<double>& q_out,
                    const CalibrationSet& probe, const ModelConfig& config, const Matrix<float>& stream,
                    const std::string& label, Report& report) {
  CalibrationWalk dense(probe, config);
  dense.replace_stream(copy_rows(stream.view(), stream.rows()));
  CalibrationWalk rotated(probe, config);
  rotated.replace_stream(project(stream.view(), q_in.view()));
  const Matrix<float> expected = project(dense.peek(stage, label).view(), q_out.view());
  const Matrix<float> got = rotated.peek(rotate_stage(stage, q_in.view(), q_out.view()), label);
  require_exact(label, expected.view(), got.view(), report);
}

// SliceGPT, algorithm of section 3.3: every basis sees signals that earlier cuts have already degraded.
Model slice_block(Model model, const CalibrationSet& set, const ResidualOptions& options, Report& report) {
  const int64_t full = model.config.embedding_width;
  const CalibrationSet probe = probe_set(set);
  const Matrix<double> original_basis = Matrix<double>::identity(full);
  CalibrationWalk walk(set, model.config);
  walk.start(model.embedding);
  const Norm& first_norm = model.blocks.front().stages.front().norm;
  const Matrix<double> q_first = principal_components(walk.stream().view(), first_norm, options.covariance);
  Matrix<double> q = q_first.clone();
  for (size_t b = 0; b < model.blocks.size(); ++b) {
    auto& stages = model.blocks[b].stages;
    for (size_t s = 0; s < stages.size(); ++s) {
      const std::string label = fmt::format("layer {} {} rotation", b, role_name(norm_role(s)));
      const bool last = b + 1 == model.blocks.size() && s + 1 == stages.size();
      const int64_t width_out = last && !options.slice_head ? full : options.width;
      // The cut stream goes in, the stream in its original basis comes out: skip = Q[:, :d].
      const MatrixView<const double> q_in = leading_columns(q, options.width);
      const Matrix<float> stream = copy_rows(walk.stream().view(), probe.seqlen());
      walk.replace_stream(project(walk.stream().view(), q_in));
      walk.run(rotate_stage(stages[s], q_in, original_basis.view()), label);
      Matrix<double> q_out =
          principal_components(walk.stream().view(), next_norm(model, b, s), options.covariance);
      check_rotation(stages[s], q, q_out, probe, model.config, stream, label, report);
      stages[s] = rotate_stage(stages[s], q_in, leading_columns(q_out, width_out));
      q = std::move(q_out);
      if (last) rotate_ends(model, leading_columns(q_first, options.width), leading_columns(q, width_out));
    }
    log_info("sliced layer {} of {}", b + 1, model.blocks.size());
  }
  return model;
}

Model slice_global(Model model, const CalibrationSet& set, const ResidualOptions& options, Report& report) {
  const int64_t full = model.config.embedding_width;
  Matrix<double> h = Matrix<double>::zeros(full, full);
  CalibrationWalk walk(set, model.config);
  walk.start(model.embedding);
  for (size_t b = 0; b < model.blocks.size(); ++b) {
    for (size_t s = 0; s < model.blocks[b].stages.size(); ++s) {
      add_covariance(walk.stream().view(), model.blocks[b].stages[s].norm, options.covariance, h);
      walk.run(model.blocks[b].stages[s], fmt::format("layer {}", b));
    }
    log_info("measured layer {} of {}", b + 1, model.blocks.size());
  }
  add_covariance(walk.stream().view(), model.final_norm, options.covariance, h);
  const Matrix<double> q = std::move(eigh(std::as_const(h).view()).vectors);

  const auto rotate = [&](const Model& source, int64_t width) {
    Model result = source;
    const MatrixView<const double> basis = leading_columns(q, width);
    for (Block& block : result.blocks)
      for (Stage& stage : block.stages) stage = rotate_stage(stage, basis, basis);
    rotate_ends(result, basis, basis);
    update_config(result);
    return result;
  };
  require_exact("global rotation", probe_logits(model, set).view(),
                probe_logits(rotate(model, full), set).view(), report);
  return rotate(model, options.width);
}

bool stays_tied(const Model& model, const ResidualOptions& options) {
  return model.head.empty() && options.keep_tie;
}

int64_t head_input_width(const Model& model, const ResidualOptions& options) {
  const bool whole = options.rotation == Rotation::kBlock && !options.slice_head;
  return whole ? model.config.embedding_width : options.width;
}

// Whether use_plain_norms gives the norms weights √(D/d).
bool becomes_plain(const Model& model, const ResidualOptions& options) {
  ModelConfig config = model.config;
  config.head_transform = stays_tied(model, options);
  return options.rotation == Rotation::kGlobal && config.is_uniform() && config.norm_width != options.width;
}

}  // namespace

int64_t residual_sliced_parameters(const Model& model, const ResidualOptions& options) {
  const int64_t d = options.width;
  const bool tied = stays_tied(model, options);
  const int64_t d_head = head_input_width(model, options);
  int64_t count = model.config.vocab_size * d;
  count += tied ? d * d_head : model.config.vocab_size * d_head;
  for (size_t b = 0; b < model.blocks.size(); ++b) {
    const auto& stages = model.blocks[b].stages;
    for (size_t s = 0; s < stages.size(); ++s) {
      const bool last = b + 1 == model.blocks.size() && s + 1 == stages.size();
      const int64_t d_out = last ? d_head : d;
      for_each_linear(stages[s], [&](Role role, const Linear& linear) {
        const int64_t bias = static_cast<int64_t>(linear.bias.size());
        if (reads_residual(role)) count += linear.weight.rows * d + bias;
        if (writes_residual(role)) count += linear.weight.cols * d_out + (bias != 0 ? d_out : 0);
      });
      if (options.rotation == Rotation::kBlock || !stages[s].skip.empty()) count += d * d_out;
    }
  }
  if (becomes_plain(model, options)) count += d * static_cast<int64_t>(model.blocks.size() * 2 + 1);
  return count;
}

Model slice_residual(const Model& original, const CalibrationSet& set, const ResidualOptions& options,
                     Report& report) {
  const int64_t full = original.config.embedding_width;
  if (options.width < 1 || options.width > full)
    fail(ErrorCode::kUsage, "the residual width must be 1..{}, got {}", full, options.width);
  for (const BlockShape& shape : original.config.blocks)
    if (shape.input_width != full || shape.attention_output_width != full || shape.output_width != full)
      fail(ErrorCode::kUnsupported, "the residual stream of this model is already of several widths");
  Model model = original;
  if (!options.keep_tie) untie_head(model);
  fuse_norms(model);
  require_exact("norm fusion", probe_logits(original, set).view(), probe_logits(model, set).view(), report);
  model = options.rotation == Rotation::kBlock ? slice_block(std::move(model), set, options, report)
                                               : slice_global(std::move(model), set, options, report);
  update_config(model);
  if (model.config.is_uniform()) use_plain_norms(model);
  return model;
}

}  // namespace pare
