#include "compress/quantize/tables.h"

#include "compress/calibrate/input_sums.h"
#include "compress/quantize/quantize_solver.h"
#include "compress/solve/gram.h"
#include "compress/walk/calibration_walk.h"
#include "compress/walk/stage_loop.h"
#include "model/stage_at.h"

namespace pare {
namespace {

constexpr const char* kStep = "tables";
constexpr const char* kEmbedding = "embedding";
constexpr const char* kHead = "head";

// Returns the Gram matrix of the head's input, on every rank.
Matrix<double> head_gram(const Model& model, const CalibrationSet& set, const LossWeights* weights,
                         WorkArea& area, const PassProgress& progress) {
  CalibrationWalk walk(set, model.config, area, "head-walk");
  StageLoop loop(area, "head-stages", {{"walk", walk}});
  if (loop.is_new()) {
    walk.start(model);
    loop.begin();
  }
  const size_t per_block = model.blocks.front().stages.size();
  const size_t count = stage_count(model);
  for (size_t s = 0; s < count; ++s) {
    if (loop.finished(s) != nullptr) continue;
    if (progress) progress("reading the head's input", static_cast<int64_t>(s), static_cast<int64_t>(count));
    const Stage& stage = stage_at(model, s);
    walk.run(stage, fmt::format("layer {}", s / per_block));
    release_pages(stage);
    loop.record(s);
  }
  const Backend& on = default_backend();
  PackedHead head;  // without its last matrix
  head.backend = &on;
  head.norm = on.pack_norm(model.final_norm);
  if (!model.head_transform.empty())
    head.transform = on.pack_linear(std::span(&model.head_transform, 1), {}, calibration_compute());
  const std::vector<double> of_tokens = weights != nullptr ? weights->of_head() : std::vector<double>();
  InputSum sum(Signal::kNormed, model.head_weight().cols, walk.split());
  sum.weigh(of_tokens);
  for (int64_t i = 0; i < walk.sequences(); ++i) sum.add(head_input(head, on.borrow(walk.stream(i))));
  return std::move(sum).gram();
}

Weight rounded_table(const Weight& table, Role role, Matrix<double> gram, const QuantizeOptions& options,
                     Report& report, const std::function<void(int64_t)>& done) {
  const double damping = damping_of(gram, options.damping);
  add_to_diagonal(gram, damping);
  InputGram input(std::move(gram));
  const CalibratedLinear linear({0, -1}, role, table, input, damping, nullptr);
  // Embedding and head belong to no layer.
  const Encoding encoding = options.table_format()->encoding_of(role, -1, 0, table.cols);
  Weight result = rounded(linear, options, encoding, report, done);
  release_pages(table);
  return result;
}

}  // namespace

void round_tables(Model& model, const CalibrationSet& set, const QuantizeOptions& options,
                  const LossWeights* weights, WorkArea& area, Report& report, const PassProgress& progress) {
  const bool tied = model.head.empty();
  StageLoop loop(area, kStep, {}, &report);
  if (loop.is_new()) loop.begin();
  if (loop.finished(0) != nullptr) {
    model.embedding = area.kept(kEmbedding);
    if (!tied) model.head = area.kept(kHead);
    return;
  }
  Matrix<double> gram = head_gram(model, set, weights, area, progress);
  area.forget_stream("head-walk");
  const auto round = [&](const char* name, Weight& table, Role role, Matrix<double> input) {
    const int64_t rows = table.rows;
    const auto show = [&](int64_t done) {
      if (progress) progress(fmt::format("rounding the {}", name), done, rows);
    };
    show(0);
    table = area.keep(name, rounded_table(table, role, std::move(input), options, report, show));
  };
  if (tied) {
    round(kEmbedding, model.embedding, Role::kEmbedding, std::move(gram));
  } else {
    round(kHead, model.head, Role::kHead, std::move(gram));
    round(kEmbedding, model.embedding, Role::kEmbedding, Matrix<double>::identity(model.embedding.cols));
  }
  loop.record(0);
}

}  // namespace pare
