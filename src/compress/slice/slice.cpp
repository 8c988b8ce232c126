#include "compress/slice/slice.h"

#include <cmath>
#include <numeric>

namespace pare {
namespace {

void require_share(const char* option, double value) {
  if (!(value > 0.0 && value < 1.0))
    fail(ErrorCode::kUsage, "{} is {}, expected more than 0, less than 1", option, value);
}

int64_t target_parameters(const Model& model, double share) {
  return static_cast<int64_t>(std::floor(share * static_cast<double>(model_size(model).parameters)));
}

int64_t rounded_down(int64_t value, int64_t interval) { return value / interval * interval; }

// The residual width: from the sparsity as the SliceGPT reference does, or the largest that meets the target.
int64_t residual_width(const Model& model, const SliceOptions& options, ResidualOptions residual) {
  const int64_t full = model.config.embedding_width;
  if (options.sparsity)
    return rounded_down(static_cast<int64_t>((1.0 - *options.sparsity) * static_cast<double>(full)),
                        options.round_interval);
  const int64_t target = target_parameters(model, *options.target_params);
  for (residual.width = rounded_down(full, options.round_interval); residual.width > 0;
       residual.width -= options.round_interval)
    if (residual_sliced_parameters(model, residual) <= target) return residual.width;
  fail(ErrorCode::kInvalid, "no residual width of at least {} brings the model down to {} parameters",
       options.round_interval, target);
}

Model slice_residual_stream(const Model& model, const CalibrationSet& set, const SliceOptions& options,
                            Report& report) {
  ResidualOptions residual{0, options.rotation, options.covariance, options.slice_head, options.keep_tie};
  residual.width = residual_width(model, options, residual);
  const bool block = options.rotation == Rotation::kBlock;
  report.recipe = {{"method", "slice"},
                   {"streams", {"residual"}},
                   {"rotation", block ? "block" : "global"},
                   {"covariance", options.covariance == Covariance::kRaw ? "raw" : "normalized"},
                   {"slice_head", options.slice_head},
                   {"keep_tie", options.keep_tie},
                   {"round_interval", options.round_interval},
                   {"width", residual.width}};
  return slice_residual(model, set, residual, report);
}

// The same hidden width for every layer.
std::vector<int64_t> uniform_widths(const Model& model, const SliceOptions& options) {
  std::vector<int64_t> widths;
  int64_t cost = 0;
  int64_t full = 0;
  for (const Block& block : model.blocks) {
    for (const Stage& stage : block.stages) {
      widths.push_back(stage.branches.empty() ? 0 : stream_width(stage));
      if (stage.branches.empty() || stream_kind(stage) != StreamKind::kHidden) continue;
      if (full != 0 && stream_width(stage) != full)
        fail(ErrorCode::kUnsupported, "--uniform needs a model whose layers have one hidden width");
      full = stream_width(stage);
      cost += parameters_per_width(stage);
    }
  }
  if (cost == 0) fail(ErrorCode::kInvalid, "--uniform needs a model with hidden streams");
  int64_t width = 0;
  if (options.sparsity) {
    width = static_cast<int64_t>((1.0 - *options.sparsity) * static_cast<double>(full));
  } else {
    const int64_t surplus = model_size(model).parameters - target_parameters(model, *options.target_params);
    width = full - (surplus + cost - 1) / cost;
  }
  width = rounded_down(width, options.round_interval);
  if (width < 1) fail(ErrorCode::kInvalid, "the hidden streams alone cannot bring the model down so far");
  size_t index = 0;
  for (const Block& block : model.blocks)
    for (const Stage& stage : block.stages) {
      if (!stage.branches.empty() && stream_kind(stage) == StreamKind::kHidden) widths[index] = width;
      ++index;
    }
  return widths;
}

Model slice_inner_streams(const Model& model, const CalibrationSet& set, const SliceOptions& options,
                          Report& report, const SliceProgress& progress) {
  const auto step = [&](const char* name) -> StepProgress {
    if (!progress) return {};
    return [&progress, name](int64_t done, int64_t total) { progress(name, done, total); };
  };
  std::vector<int64_t> widths;
  Json streams = Json::array();
  if (options.hidden) streams.push_back("hidden");
  if (options.value && !options.uniform) streams.push_back("value");
  if (options.uniform) {
    widths = uniform_widths(model, options);
  } else {
    StreamSlicingOptions plan;
    plan.target_parameters = target_parameters(model, *options.target_params);
    plan.sensitivity.granularity = options.round_interval;
    plan.sensitivity.hidden = options.hidden;
    plan.sensitivity.value = options.value;
    plan.sensitivity.ridge = options.ridge;
    widths =
        plan_stream_widths(model, measure_sensitivity(model, set, plan.sensitivity, step("measuring")), plan);
  }
  report.recipe = {{"method", "slice"},
                   {"streams", streams},
                   {"uniform", options.uniform},
                   {"ridge", options.ridge},
                   {"round_interval", options.round_interval},
                   {"widths", widths}};
  return cut_streams(model, set, widths, options.ridge, report, step("cutting"));
}

}  // namespace

void validate(const SliceOptions& o) {
  if (o.sparsity.has_value() == o.target_params.has_value())
    fail(ErrorCode::kUsage, "give either --target-params or --sparsity");
  if (o.sparsity && (*o.sparsity < 0.0 || !(*o.sparsity < 1.0)))
    fail(ErrorCode::kUsage, "--sparsity is {}, expected 0 or more, less than 1", *o.sparsity);
  if (o.target_params) require_share("--target-params", *o.target_params);
  if (o.round_interval < 1)
    fail(ErrorCode::kUsage, "--round-interval is {}, expected 1 or more", o.round_interval);
  if (!(o.ridge >= 0.0) || !std::isfinite(o.ridge))
    fail(ErrorCode::kUsage, "--ridge is {}, expected 0 or more", o.ridge);
  if (!o.residual && !o.hidden && !o.value) fail(ErrorCode::kUsage, "--streams names nothing to slice");
  if (o.residual && o.uniform) fail(ErrorCode::kUsage, "--uniform does not go with the residual stream");
  if (o.uniform && !o.hidden)
    fail(ErrorCode::kUsage, "--uniform slices the hidden streams, not the value streams");
  if (!o.residual && !o.uniform && o.sparsity)
    fail(ErrorCode::kUsage, "--sparsity needs --rotation or --uniform; otherwise give --target-params");
}

Model slice(const Model& model, const CalibrationSet& set, const SliceOptions& options, Report& report,
            const SliceProgress& progress) {
  validate(options);
  report.before = model_size(model);
  Model sliced = options.residual ? slice_residual_stream(model, set, options, report)
                                  : slice_inner_streams(model, set, options, report, progress);
  report.recipe["calibration"] = {{"source", set.source},
                                  {"nsamples", set.sequences.size()},
                                  {"seqlen", set.seqlen()},
                                  {"tokens_sha256", set.sha256}};
  report.after = model_size(sliced);
  return sliced;
}

}  // namespace pare
