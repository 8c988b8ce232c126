#include "compress/slice/slice.h"

#include <cmath>
#include <numeric>

#include "compress/pass_options.h"

namespace pare {

const std::map<std::string, Rotation> kRotationWords = {{"block", Rotation::kBlock},
                                                        {"global", Rotation::kGlobal}};
const std::map<std::string, Covariance> kCovarianceWords = {{"raw", Covariance::kRaw},
                                                            {"normalized", Covariance::kNormalized}};

namespace {

void require_share(const char* option, double value) {
  if (!(value > 0.0 && value < 1.0))
    fail(ErrorCode::kUsage, "`{}` is {}, expected more than 0, less than 1", option, value);
}

int64_t target_parameters(const Model& model, double share) {
  return static_cast<int64_t>(std::floor(share * static_cast<double>(model_size(model).dense_parameters)));
}

int64_t rounded_down(int64_t value, int64_t interval) { return value / interval * interval; }

// Returns the residual width: as the SliceGPT reference for a sparsity, or the largest within the target.
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

StreamSlicingOptions stream_options(const Model& model, const SliceOptions& options) {
  StreamSlicingOptions plan;
  plan.target_parameters = target_parameters(model, *options.target_params);
  plan.sensitivity.granularity = hidden_granularity(model, options.round_interval);
  plan.sensitivity.hidden = options.hidden;
  plan.sensitivity.value = options.value;
  plan.sensitivity.ridge = options.ridge;
  return plan;
}

ResidualOptions residual_options(const Model& model, const SliceOptions& options) {
  ResidualOptions residual{0, options.rotation, options.covariance, options.slice_head, options.keep_tie};
  residual.width = residual_width(model, options, residual);
  return residual;
}

// Returns one hidden width for every layer.
std::vector<int64_t> uniform_widths(const Model& model, const SliceOptions& options) {
  std::vector<int64_t> widths;
  int64_t cost = 0;
  int64_t full = 0;
  std::vector<bool> is_hidden;
  for (const auto [index, branch] : streams_of(model)) {
    const Stage& stage = stage_at(model, index);
    widths.push_back(stream_width(stage, branch));
    is_hidden.push_back(stream_kind(stage, branch) == StreamKind::kHidden);
    if (!is_hidden.back()) continue;
    if (full != 0 && widths.back() != full)
      fail(ErrorCode::kUnsupported, "`uniform` needs a model whose layers have one hidden width");
    full = widths.back();
    cost += parameters_per_width(stage, branch);
  }
  if (cost == 0) fail(ErrorCode::kInvalid, "`uniform` needs a model with hidden streams");
  int64_t width = 0;
  if (options.sparsity) {
    width = static_cast<int64_t>((1.0 - *options.sparsity) * static_cast<double>(full));
  } else {
    const int64_t surplus =
        model_size(model).dense_parameters - target_parameters(model, *options.target_params);
    width = full - (surplus + cost - 1) / cost;
  }
  width = rounded_down(width, hidden_granularity(model, options.round_interval));
  if (width < 1) fail(ErrorCode::kInvalid, "the hidden streams alone cannot bring the model down so far");
  for (size_t i = 0; i < widths.size(); ++i)
    if (is_hidden[i]) widths[i] = width;
  return widths;
}

Model slice_residual_stream(const Model& model, const CalibrationSet& set, const SliceOptions& options,
                            WorkArea& area, Report& report, const PassProgress& progress) {
  const ResidualOptions residual = residual_options(model, options);
  const bool block = options.rotation == Rotation::kBlock;
  report.recipe = {{"method", "slice"},
                   {"streams", {"residual"}},
                   {"rotation", block ? "block" : "global"},
                   {"covariance", name_of(kCovarianceWords, options.covariance)},
                   {"slice_head", options.slice_head},
                   {"keep_tie", options.keep_tie},
                   {"round_interval", options.round_interval},
                   {"width", residual.width}};
  return slice_residual(model, set, residual, area, report, progress);
}

std::unique_ptr<StageEditor> slice_inner_streams(const Model& model, const CalibrationSet& set,
                                                 const SliceOptions& options, WorkArea& area, Report& report,
                                                 const PassProgress& progress) {
  std::vector<int64_t> widths;
  Json streams = Json::array();
  if (options.hidden) streams.push_back("hidden");
  if (options.value && !options.uniform) streams.push_back("value");
  if (options.uniform) {
    widths = uniform_widths(model, options);
  } else {
    const StreamSlicingOptions plan = stream_options(model, options);
    widths =
        plan_stream_widths(model, measure_sensitivity(model, set, plan.sensitivity, area, progress), plan);
  }
  report.recipe = {{"method", "slice"},
                   {"streams", streams},
                   {"uniform", options.uniform},
                   {"ridge", options.ridge},
                   {"round_interval", options.round_interval},
                   {"widths", widths}};
  return stream_cutter(model, set, widths, options.ridge, area);
}

}  // namespace

void validate(const SliceOptions& o) {
  if (o.sparsity.has_value() == o.target_params.has_value())
    fail(ErrorCode::kUsage, "give either `target_params` or `sparsity`");
  if (o.sparsity && (*o.sparsity < 0.0 || !(*o.sparsity < 1.0)))
    fail(ErrorCode::kUsage, "`sparsity` is {}, expected 0 or more, less than 1", *o.sparsity);
  if (o.target_params) require_share("target_params", *o.target_params);
  if (o.round_interval < 1)
    fail(ErrorCode::kUsage, "`round_interval` is {}, expected 1 or more", o.round_interval);
  if (!(o.ridge >= 0.0) || !std::isfinite(o.ridge))
    fail(ErrorCode::kUsage, "`ridge` is {}, expected 0 or more", o.ridge);
  if (!o.residual && !o.hidden && !o.value) fail(ErrorCode::kUsage, "`streams` names nothing to slice");
  if (o.residual && o.uniform) fail(ErrorCode::kUsage, "`uniform` does not go with the residual stream");
  if (o.uniform && !o.hidden)
    fail(ErrorCode::kUsage, "`uniform` slices the hidden streams, not the value streams");
  if (!o.residual && !o.uniform && o.sparsity)
    fail(ErrorCode::kUsage, "`sparsity` needs `rotation` or `uniform`; otherwise give `target_params`");
}

bool mixes_columns(const SliceOptions& options, Role role) {
  const bool value = options.value && !options.uniform;
  return options.residual || (value && (role == Role::kValue || role == Role::kAttentionOutput));
}

void require_reachable(const Model& model, const SliceOptions& options) {
  if (options.residual) {
    require_rotatable(model);
    residual_options(model, options);
  } else if (options.uniform) {
    uniform_widths(model, options);
  } else {
    const StreamSlicingOptions plan = stream_options(model, options);
    plan_stream_widths(model, cuttable_streams(model, plan.sensitivity), plan);
  }
}

Json to_json(const SliceOptions& o) {
  Json json;
  if (o.sparsity) json["sparsity"] = *o.sparsity;
  if (o.target_params) json["target_params"] = *o.target_params;
  json["round_interval"] = o.round_interval;
  if (o.residual) {
    json["streams"] = "residual";
    json["rotation"] = name_of(kRotationWords, o.rotation);
    json["covariance"] = name_of(kCovarianceWords, o.covariance);
    json["slice_head"] = o.slice_head;
    json["keep_tie"] = o.keep_tie;
  } else {
    json["streams"] = fmt::format("{}{}{}", o.hidden ? "hidden" : "", o.hidden && o.value ? "," : "",
                                  o.value ? "value" : "");
    json["uniform"] = o.uniform;
    json["ridge"] = o.ridge;
  }
  return json;
}

std::unique_ptr<StageEditor> slice(Model& model, const CalibrationSet& set, const SliceOptions& options,
                                   WorkArea& area, Report& report, const PassProgress& progress) {
  validate(options);
  require_reachable(model, options);
  if (!options.residual) return slice_inner_streams(model, set, options, area, report, progress);
  model = slice_residual_stream(model, set, options, area, report, progress);
  return nullptr;
}

}  // namespace pare
