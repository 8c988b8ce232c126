#include "compress/sparsify/residual_order.h"

#include <cmath>
#include <numeric>
#include <optional>

#include "compress/calibrate/input_sums.h"
#include "compress/calibrate/selection.h"
#include "compress/exactness.h"
#include "compress/sparsify/permute.h"
#include "compress/walk/calibration_walk.h"
#include "model/visit.h"

namespace pare {
namespace {

constexpr const char* kStep = "residual-order/0";
constexpr int64_t kMaxSamples = 16384;  // rows that stand for those of all readers

std::vector<int64_t> find_order(const Model& model, const CalibrationSet& set, const SparsifyOptions& options,
                                WorkArea& area, const PassProgress& progress) {
  const Selection selection(options.targets, options.ignore);
  const bool entropies = options.prune.score.method == SparseMethod::kEsparse;
  const int64_t width = model.config.stream_width();
  int64_t rows = 0;
  int64_t stages = 0;
  const auto selects = [&](size_t b, Role role) {
    return reads_residual(role) && selection.selects(model.config, static_cast<int64_t>(b), role);
  };
  for (size_t b = 0; b < model.blocks.size(); ++b)
    for (const Stage& stage : model.blocks[b].stages) {
      ++stages;
      for_each_linear(stage, [&](Role role, const Linear& linear) {
        if (selects(b, role)) rows += linear.weight.rows;
      });
    }
  CalibrationWalk walk(set, model.config, area, "order");
  std::optional<KeptRows> inputs;
  if (entropies) inputs.emplace(area, "order-inputs", walk.tokens() * width);
  walk.start(model);
  // Every stride-th row of all readers, a linear's scores divided by their mean.
  const int64_t stride = std::max<int64_t>(1, (rows + kMaxSamples - 1) / kMaxSamples);
  std::vector<Matrix<double>> sampled;
  int64_t done = 0;
  for (size_t b = 0; b < model.blocks.size(); ++b)
    for (const Stage& stage : model.blocks[b].stages) {
      if (progress) progress("finding an order of channels", done++, stages);
      ChannelStatistics statistics;
      statistics.tokens = walk.all_tokens();
      ChunkSum squares(walk.split(), 1, width);
      if (inputs) inputs->begin(width);
      walk.run(stage, fmt::format("layer {}", b),
               {[&](Signal signal, const Activation& activation) {
                  if (signal != Signal::kNormed) return;
                  const HostRows host = download(activation);
                  const MatrixView<const float> x = host.view();
                  double* sums = squares.next().data;
                  for (int64_t t = 0; t < x.rows; ++t)
                    for (int64_t c = 0; c < x.cols; ++c)
                      sums[c] += static_cast<double>(x(t, c)) * static_cast<double>(x(t, c));
                  if (inputs) inputs->add(x);
                },
                {},
                {}});
      const Matrix<double> total = std::move(squares).total();
      statistics.square_sums.assign(total.data(), total.data() + width);
      if (inputs) {
        statistics.entropies = channel_entropies(inputs->all(), options.prune.score.bins, area.comm());
        inputs->release();
      }
      for_each_linear(stage, [&](Role role, const Linear& linear) {
        if (!selects(b, role)) return;
        measure_weights(linear.weight, options.prune.score, statistics);
        const Matrix<double> weight = decode_f64(linear.weight);
        const Matrix<double> scores = prune_scores(weight.view(), statistics, options.prune);
        Matrix<double> some((scores.rows() + stride - 1) / stride, width);
        for (int64_t r = 0; r < some.rows(); ++r) std::copy_n(scores.row(r * stride), width, some.row(r));
        sampled.push_back(std::move(some));
      });
      release_pages(stage);
    }
  if (sampled.empty()) {
    std::vector<int64_t> order(static_cast<size_t>(width));
    std::iota(order.begin(), order.end(), 0);
    return order;
  }
  return shuffle_channels(channel_scores(sampled), options.prune.pattern, options.shuffle);
}

}  // namespace

std::vector<int64_t> shuffle_residual_stream(Model& model, const CalibrationSet& set,
                                             const SparsifyOptions& options, WorkArea& area, Report& report,
                                             const PassProgress& progress) {
  const int64_t width = model.config.stream_width();
  if (width % options.prune.pattern.group != 0) return {};
  if (const std::optional<int64_t> other = other_residual_width(model, width)) {
    report.fallbacks.push_back(
        fmt::format("the residual stream has several widths ({} and {}), so its channels keep their order",
                    width, *other));
    return {};
  }
  const Json* record = area.find(kStep);
  if (record == nullptr) {
    const std::vector<int64_t> order = find_order(model, set, options, area, progress);
    area.record(kStep, {{"order", order}});
    record = area.find(kStep);
  }
  const Matrix<float> before = probe_logits(model, set);
  auto order = record->at("order").get<std::vector<int64_t>>();
  permute_residual_ends(model, order);
  const auto permuted = [&](const Stage& stage) { return permute_residual(stage, order); };
  require_exact("channel shuffle", before.view(), probe_logits(model, set, {}, permuted).view(), report);
  return order;
}

}  // namespace pare
