#include "compress/slice/residual.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "compress/calibrate/input_group.h"
#include "compress/exactness.h"
#include "compress/slice/fuse.h"
#include "compress/slice/rotate.h"
#include "compress/slice/spectrum.h"
#include "compress/slice/streams.h"
#include "compress/slice/subspace_cut.h"
#include "compress/solve/gram.h"
#include "compress/walk/calibration_walk.h"
#include "compress/walk/stage_loop.h"
#include "model/visit.h"
#include "tensor/transposed.h"

namespace pare {
namespace {

constexpr int64_t kProbeTokens = 32;  // single stages are checked on the first tokens of the calibration
constexpr int64_t kProbeVocab = 1024;
// Share of its mean that the embedding keeps where layer norms meet a tied head. The stream must have no
// mean, but the head needs the mean of its rows. So small a mean does not show in a norm, and the head
// transform makes it large again.
constexpr double kMeanLeft = 0x1p-10;

// h += Σ xxᵀ, with x as it is or after its RMS norm (SliceGPT eq. 8).
void add_covariance(MatrixView<const float> x, const Norm& norm, Covariance kind, MatrixView<double> h) {
  if (kind == Covariance::kRaw) return gram_accumulate(x, nullptr, h);
  std::vector<double> weights(static_cast<size_t>(x.rows));
  for (int64_t t = 0; t < x.rows; ++t) {
    double sum = 0.0;
    for (int64_t c = 0; c < x.cols; ++c) sum += static_cast<double>(x(t, c)) * x(t, c);
    weights[static_cast<size_t>(t)] = 1.0 / (sum / norm.divisor + norm.eps);
  }
  gram_accumulate(x, weights.data(), h);
}

bool stays_tied(const Model& model, const ResidualOptions& options) {
  return model.head.empty() && options.keep_tie;
}

// Returns whether use_plain_norms gives the norms weights √(D/d).
bool becomes_plain(const Model& model, const ResidualOptions& options) {
  ModelConfig config = model.config;
  config.head_transform = stays_tied(model, options);
  config.design.norm = NormKind::kRms;
  config.embedding_width = options.width;
  for (BlockShape& block : config.blocks)
    block.input_width = block.attention_output_width = block.output_width = options.width;
  return options.rotation == Rotation::kGlobal && config.norm_width != options.width &&
         plain_norms_suffice(config);
}

bool has_layer_norms(const Model& model) { return model.final_norm.kind == NormKind::kLayer; }

// x·Q for f32 x (tokens, D), Q (D, d).
Matrix<float> project(MatrixView<const float> x, MatrixView<const double> q) {
  const Matrix<double> turned = transposed(q);
  const auto packed = pack_linear(Weight::from_matrix(turned.view()), ComputeType::kF32);
  Matrix<float> y(x.rows, q.cols);
  packed->apply(x, y.view());
  return y;
}

// Slices one model by blocks or globally; the members are shared by both ways.
class ResidualSlicer {
 public:
  ResidualSlicer(const Model& original, const CalibrationSet& set, const ResidualOptions& options,
                 WorkArea& area, Report& report, const PassProgress& progress)
      : original_(original),
        set_(set),
        options_(options),
        area_(area),
        report_(report),
        progress_(progress),
        full_(original.config.embedding_width),
        centers_(has_layer_norms(original)),
        mean_left_(centers_ && stays_tied(original, options) ? kMeanLeft : 0.0),
        plain_norms_(becomes_plain(original, options)),
        model_(original) {
    for (const Block& block : original.blocks)
      for (const Stage& stage : block.stages) stages_.push_back(&stage);
  }

  Model run() {
    if (options_.rotation == Rotation::kBlock)
      slice_block();
    else
      slice_global();
    model_.head_bias = fused_head_bias(original_);
    model_.final_norm.weight.clear();
    model_.final_norm.bias.clear();
    model_.final_norm.kind = NormKind::kRms;
    update_config(model_);
    const bool plain = plain_norms_suffice(model_.config);
    PARE_CHECK(plain_norms_ == (plain && original_.config.norm_width != options_.width));
    if (plain) use_plain_norms(model_);
    return std::move(model_);
  }

 private:
  size_t count() const { return stages_.size(); }
  Stage& result(size_t s) { return stage_at(model_, s); }
  std::string stage_name(size_t s) const {
    const size_t stages = original_.blocks.front().stages.size();
    if (stages == 1) return fmt::format("layer {}", s);
    return fmt::format("layer {} {}", s / stages, s % stages == 0 ? "attention" : "MLP");
  }
  // Returns stage `s` on the stream that is sliced. With layer norms that stream has no mean.
  Stage source(size_t s) const { return center_writers(*stages_[s]); }
  void center(MatrixView<float> x) const {
    if (centers_) center_rows(x);
  }
  // Takes an earlier run's result of stage `s`.
  void take_kept(size_t s) {
    result(s) = area_.kept(file_name(s), *stages_[s]);
    result(s).norm.kind = NormKind::kRms;
  }
  static std::string file_name(size_t s) { return fmt::format("stage-{}", s); }
  // Returns the norm that reads the output of stage `s`.
  const Norm& next_norm(size_t s) const {
    return s + 1 < count() ? stages_[s + 1]->norm : original_.final_norm;
  }
  void show(const char* what, size_t done) const {
    if (progress_) progress_(what, static_cast<int64_t>(done), static_cast<int64_t>(count()));
  }

  // Returns the covariance at the first norm.
  Matrix<double> first_covariance(const CalibrationWalk& walk) const {
    ChunkSum h(walk.split(), full_, full_);
    for (int64_t i = 0; i < walk.sequences(); ++i)
      add_covariance(walk.stream(i), stages_.front()->norm, options_.covariance, h.next());
    return gram_total(std::move(h));
  }

  // Runs stage `s` on the stream, which `prepare` may change before; returns the covariance at the norm
  // behind it.
  Matrix<double> run_for_covariance(CalibrationWalk& walk, size_t s,
                                    const std::function<void(MatrixView<float>)>& prepare = {}) const {
    ChunkSum h(walk.split(), full_, full_);
    const auto add = [&](MatrixView<const float> out) {
      add_covariance(out, next_norm(s), options_.covariance, h.next());
    };
    walk.run(source(s), stage_name(s), {{}, prepare, add});
    return gram_total(std::move(h));
  }

  // Returns the name of the norm that reads the input of stage `s`, or of the final norm.
  std::string norm_name(size_t s) const {
    if (s == count()) return linear_name(-1, Role::kFinalNorm);
    const size_t stages = original_.blocks.front().stages.size();
    return linear_name(static_cast<int64_t>(s / stages), norm_role(s % stages));
  }
  void report_spectrum(const std::string& name, const std::vector<double>& eigenvalues, int64_t width) {
    add_spectrum(report_, name, full_, width, spectrum_of(eigenvalues));
  }

  // Principal components of a covariance, the largest first; the mean before all others where some is left.
  Eigen basis_of(const Matrix<double>& h) const {
    if (!centers_) return eigh(h.view());
    const Matrix<double> m = centering(full_, 0.0);
    Matrix<double> lifted = matmul(matmul(m.view(), h.view()).view(), m.view());
    if (mean_left_ == 0.0) return eigh(std::as_const(lifted).view());
    double trace = 0.0;
    for (int64_t i = 0; i < full_; ++i) trace += lifted(i, i);
    for (int64_t i = 0; i < lifted.size(); ++i)
      lifted.data()[i] += 2.0 * std::max(trace, 1.0) / static_cast<double>(full_);
    Eigen e = eigh(std::as_const(lifted).view());
    e.values.front() = 0.0;  // the mean is lifted above all others, but has no energy of its own
    return e;
  }

  // Rotates stage `s` at full width, checks on the probe that this is exact, and keeps what the cut leaves.
  // `x`: the stage's input on the probe.
  void finish_stage(size_t s, const Matrix<double>& q_in, const Matrix<double>& q_out, int64_t width_out,
                    MatrixView<const float> x) {
    const Stage stage = source(s);
    const Stage rotated = rotate_stage(fuse_norm(stage), q_in.view(), q_out.view());
    const ModelConfig& config = original_.config;
    const Matrix<float> expected =
        project(run_stage(stage, x, config, ComputeType::kF32).view(), q_out.view());
    const Matrix<float> got = run_stage(rotated, project(x, q_in.view()).view(), config, ComputeType::kF32);
    require_exact(fmt::format("{} rotation", stage_name(s)), expected.view(), got.view(), report_);
    Stage part = leading_part(rotated, options_.width, width_out);
    if (plain_norms_) part = with_plain_heads(part, options_.width);
    result(s) = area_.keep(file_name(s), part);
    release_pages(result(s));
    release_pages(*stages_[s]);
  }

  // Embedding and head in the first and last basis, of which `width` and `head_width` columns stay. `x`: the
  // last stage's output on the probe.
  void finish_ends(const Matrix<double>& q_first, const Matrix<double>& q_last, int64_t head_width,
                   MatrixView<const float> x) {
    const bool tied = stays_tied(original_, options_);
    const Matrix<double> map = matmul(fused_head_map(original_).view(), q_last.view());  // (head, D)
    // Matrix (D, D) that the embedding is multiplied by, and its inverse's transpose.
    Matrix<double> into = q_first.clone();
    Matrix<double> back = q_first.clone();
    if (centers_) into = matmul(centering(full_, mean_left_).view(), q_first.view());
    if (mean_left_ > 0.0) back = matmul(inverse_centering(full_, mean_left_).view(), q_first.view());
    check_ends(into, back, q_last, map, tied, x);
    const MatrixView<const double> columns = leading_columns(map, head_width);
    if (tied) {
      // logits = E·T·x = (E·Q0)·(Q0ᵀ·T·Q)·(Qᵀ·x)
      const Matrix<double> transform = matmul_tn(leading_columns(back, options_.width), columns);
      model_.head_transform = area_.keep("head_transform", Weight::from_matrix(transform.view()));
    } else {
      model_.head_transform = {};
      model_.head = area_.keep("head", rotate_reader(original_.head_weight(), columns));
    }
    const MatrixView<const double> kept = leading_columns(into, options_.width);
    model_.embedding = area_.keep("embedding", rotate_reader(original_.embedding, kept));
    if (!original_.positions.empty())
      model_.positions = area_.keep("positions", rotate_reader(original_.positions, kept));
  }

  void check_ends(const Matrix<double>& into, const Matrix<double>& back, const Matrix<double>& q_last,
                  const Matrix<double>& map, bool tied, MatrixView<const float> x) {
    const auto apply = [](const Weight& weight, MatrixView<const float> in, std::vector<float> bias = {}) {
      if (!bias.empty()) bias.resize(static_cast<size_t>(weight.rows));
      Matrix<float> out(in.rows, weight.rows);
      default_backend()
          .pack_linear(std::span(&weight, 1), std::move(bias), ComputeType::kF32)
          ->apply(in, out.view());
      return out;
    };
    const Weight head =
        rows_of(original_.head_weight(), 0, std::min(kProbeVocab, original_.head_weight().rows));
    Matrix<float> hidden = copy_of(x);
    apply_norm(original_.final_norm, x, hidden.view());
    if (!original_.head_transform.empty()) hidden = apply(original_.head_transform, hidden.view());
    const Matrix<float> expected = apply(head, std::as_const(hidden).view(), original_.head_bias);

    Matrix<float> rotated = project(x, q_last.view());
    Norm plain = original_.final_norm;
    plain.weight.clear();
    plain.bias.clear();
    plain.kind = NormKind::kRms;
    apply_norm(plain, std::as_const(rotated).view(), rotated.view());
    Matrix<float> got;
    if (tied) {
      const Matrix<double> transform = matmul_tn(back.view(), map.view());
      got = apply(rotate_reader(head, into.view()),
                  apply(Weight::from_matrix(transform.view()), std::as_const(rotated).view()).view(),
                  fused_head_bias(original_));
    } else {
      got = apply(rotate_reader(head, map.view()), std::as_const(rotated).view(), fused_head_bias(original_));
    }
    require_exact("head rotation", expected.view(), got.view(), report_);
  }

  // SliceGPT, algorithm of section 3.3: every basis sees signals that earlier cuts have already degraded. The
  // walk keeps the stream in its original basis and cuts it by projection.
  void slice_block() {
    const int64_t probe = std::min(kProbeTokens, set_.seqlen());
    CalibrationWalk walk(set_, original_.config, area_, "walk");
    StageLoop loop(area_, "slice", {{"walk", walk}}, &report_);
    const auto file = [](size_t done) { return fmt::format("basis-{}", done); };
    Matrix<double> q_first;
    Matrix<double> q;
    Matrix<double> first_values(1, full_);
    if (loop.is_new()) {
      walk.start(original_, [&](MatrixView<float> embedded) { center(embedded); });
      Eigen first = basis_of(first_covariance(walk));
      std::copy(first.values.begin(), first.values.end(), first_values.data());
      q_first = std::move(first.vectors);
      q = q_first.clone();
      area_.keep("basis-first", q_first);
      area_.keep("spectrum-first", first_values);
      area_.keep(file(0), q);
      loop.begin();
    } else {
      q_first = area_.kept_matrix("basis-first");
      first_values = area_.kept_matrix("spectrum-first");
      q = area_.kept_matrix(file(loop.done()));
    }
    const int64_t head_width = options_.slice_head ? options_.width : full_;
    for (size_t s = 0; s < count(); ++s) {
      if (loop.finished(s) != nullptr) {
        take_kept(s);
        continue;
      }
      show("slicing", s);
      if (s == 0)
        report_spectrum(norm_name(0), {first_values.data(), first_values.data() + full_}, options_.width);
      Matrix<float> x = walk.first_tokens(probe);
      center(x.view());
      const SubspaceCut cut(q, options_.width, calibration_compute());
      const Matrix<double> h = run_for_covariance(walk, s, [&](MatrixView<float> in) {
        center(in);  // products in bf16 leave a small mean
        cut.apply(in);
      });
      Eigen out = basis_of(h);
      const int64_t width_out = s + 1 == count() ? head_width : options_.width;
      report_spectrum(norm_name(s + 1), out.values, width_out);
      finish_stage(s, q, out.vectors, width_out, std::as_const(x).view());
      q = std::move(out.vectors);
      area_.keep(file(s + 1), q);
      loop.record(s);
      area_.forget(file(s));
    }
    Matrix<float> x = walk.first_tokens(probe);
    center(x.view());
    finish_ends(q_first, q, head_width, std::as_const(x).view());
  }

  // The covariance of the residual stream at all norms of the dense model.
  Matrix<double> measure_covariance() {
    CalibrationWalk walk(set_, original_.config, area_, "walk");
    const auto file = [](size_t done) { return fmt::format("covariance-{}", done); };
    StageLoop loop(area_, "covariance", {{"walk", walk}});
    Matrix<double> h;
    if (loop.is_new()) {
      walk.start(original_, [&](MatrixView<float> embedded) { center(embedded); });
      h = first_covariance(walk);
      area_.keep(file(0), h);
      loop.begin();
    } else {
      h = area_.kept_matrix(file(loop.done()));
    }
    for (size_t s = loop.done(); s < count(); ++s) {
      show("measuring", s);
      const Matrix<double> here = run_for_covariance(walk, s);
      for (int64_t i = 0; i < h.size(); ++i) h.data()[i] += here.data()[i];
      area_.keep(file(s + 1), h);
      loop.record(s);
      area_.forget(file(s));
    }
    return h;
  }

  // Returns the one basis of the model.
  Matrix<double> global_basis() {
    if (options_.rotation == Rotation::kRandom) return random_orthogonal(full_, set_.seed);
    const Matrix<double> h = measure_covariance();
    Eigen basis = basis_of(h);
    report_spectrum("residual", basis.values, options_.width);
    return std::move(basis.vectors);
  }

  void slice_global() {
    const Matrix<double> q = global_basis();
    const int64_t probe = std::min(kProbeTokens, set_.seqlen());
    StageLoop loop(area_, "slice", {}, &report_);
    if (loop.is_new()) loop.begin();
    Matrix<float> x =
        embed(original_.embedding, std::span(set_.sequences.front()).first(static_cast<size_t>(probe)));
    x = with_positions(original_.positions, original_.config.position_offset, sequence_positions(1, probe),
                       std::move(x));
    center(x.view());
    for (size_t s = 0; s < count(); ++s) {
      show("rotating", s);
      if (loop.finished(s) != nullptr) {
        take_kept(s);
      } else {
        finish_stage(s, q, q, options_.width, x.view());
        loop.record(s);
      }
      x = run_stage(source(s), std::as_const(x).view(), original_.config, ComputeType::kF32);
    }
    finish_ends(q, q, options_.width, x.view());
  }

  const Model& original_;
  const CalibrationSet& set_;
  const ResidualOptions& options_;
  WorkArea& area_;
  Report& report_;
  const PassProgress& progress_;
  int64_t full_;
  bool centers_;      // the stream has layer norms: its mean is taken away
  double mean_left_;  // share of the mean that stays
  bool plain_norms_;  // use_plain_norms will change them
  Model model_;
  std::vector<const Stage*> stages_;
};

int64_t head_input_width(const Model& model, const ResidualOptions& options) {
  const bool whole = options.rotation == Rotation::kBlock && !options.slice_head;
  return whole ? model.config.embedding_width : options.width;
}

}  // namespace

void require_rotatable(const Model& model) {
  const ModelConfig& config = model.config;
  constexpr const char* kInstead = "; `streams hidden,value` cuts the streams inside the stages";
  if (config.design.norm_place == NormPlace::kBranch)
    fail(ErrorCode::kUnsupported,
         "the residual stream of this model has no rotation to slice along: norms stand behind its branches, "
         "and their scales act on each channel of what is written, so that a rotated stream would need a "
         "matrix "
         "behind every norm{}",
         kInstead);
  if (config.design.norm_place == NormPlace::kSum)
    fail(ErrorCode::kUnsupported,
         "the residual stream of this model has no rotation to slice along: norms stand behind the residual "
         "sums, and their scales act on each channel of the stream itself, so that a rotated stream would "
         "need "
         "a matrix behind every norm{}",
         kInstead);
  if (!config.final_norm)
    fail(ErrorCode::kUnsupported,
         "the residual stream of this model is read by the head without a norm, which slicing it needs{}",
         kInstead);
  if (config.embedding_transform)
    fail(ErrorCode::kUnsupported,
         "slicing the residual stream of a model with a matrix behind its embedding is not supported{}",
         kInstead);
  const int64_t full = config.embedding_width;
  for (const BlockShape& shape : config.blocks)
    if (shape.input_width != full || shape.attention_output_width != full || shape.output_width != full)
      fail(ErrorCode::kUnsupported, "the residual stream of this model is already of several widths");
}

int64_t residual_sliced_parameters(const Model& model, const ResidualOptions& options) {
  const int64_t d = options.width;
  const bool tied = stays_tied(model, options);
  const int64_t d_head = head_input_width(model, options);
  int64_t count = model.config.vocab_size * d;
  count += tied ? d * d_head : model.config.vocab_size * d_head;
  count += model.positions.rows * d;
  if (!model.head_bias.empty() || !model.final_norm.bias.empty()) count += model.config.vocab_size;
  for (size_t b = 0; b < model.blocks.size(); ++b) {
    const auto& stages = model.blocks[b].stages;
    for (size_t s = 0; s < stages.size(); ++s) {
      const bool last = b + 1 == model.blocks.size() && s + 1 == stages.size();
      const int64_t d_out = last ? d_head : d;
      for_each_linear(stages[s], [&](Role role, const Linear& linear) {
        const bool bias = !linear.bias.empty();
        const bool fused_bias = bias || !stages[s].norm.bias.empty();
        if (reads_residual(role)) count += linear.weight.rows * (d + (fused_bias ? 1 : 0));
        if (writes_residual(role)) count += (linear.weight.cols + (bias ? 1 : 0)) * d_out;
      });
      for (const Branch& branch : stages[s].branches)
        if (const auto* a = std::get_if<Attention>(&branch))
          count += static_cast<int64_t>(a->q_norm.weight.size() + a->k_norm.weight.size());
      if (options.rotation == Rotation::kBlock || !stages[s].skip.empty()) count += d * d_out;
    }
  }
  if (becomes_plain(model, options)) count += d * static_cast<int64_t>(stage_count(model) + 1);
  return count;
}

Model slice_residual(const Model& original, const CalibrationSet& set, const ResidualOptions& options,
                     WorkArea& area, Report& report, const PassProgress& progress) {
  require_rotatable(original);
  const int64_t full = original.config.embedding_width;
  if (options.width < 1 || options.width > full)
    fail(ErrorCode::kUsage, "the residual width must be 1..{}, got {}", full, options.width);
  PARE_CHECK(options.rotation != Rotation::kRandom || options.width == full);
  return ResidualSlicer(original, set, options, area, report, progress).run();
}

}  // namespace pare
