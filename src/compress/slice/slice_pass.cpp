#include "compress/slice/slice_pass.h"

#include <cstdlib>

#include "compress/slice/cost.h"

namespace pare {
namespace {

class SlicePass final : public Pass {
 public:
  explicit SlicePass(const SliceOptions& options) : options_(options) { validate(options_); }

  std::string name() const override { return "slice"; }
  void require_applicable(const Model& model) const override { require_reachable(model, options_); }
  bool loses_pattern(const Model&, int64_t, Role role, Pattern) const override {
    return mixes_columns(options_, role);
  }
  int64_t width_step() const override {
    // Value streams get any width.
    const bool any = !options_.residual && options_.value && !options_.uniform;
    return any ? 1 : options_.round_interval;
  }
  std::string no_gguf(const Model&) const override {
    const bool blocks = options_.residual && options_.rotation == Rotation::kBlock;
    return blocks ? "`rotation block` puts matrices into the residual stream, which GGUF has no place for"
                  : "";
  }
  std::string how_to_keep_patterns() const override {
    return "`streams hidden` keeps it, or slice the dense model and make that sparse";
  }
  Json options() const override { return to_json(options_); }
  Needs needs(const Model& model, const CalibrationPlan& plan, Encoding dtype) const override {
    return slice_needs(model, options_, plan, dtype);
  }
  double seconds(const Model& model, const CalibrationPlan& plan) const override {
    return slice_seconds(model, options_, plan);
  }
  std::unique_ptr<StageEditor> prepare(Model& model, const PassContext& context) const override {
    return slice(model, context.set, options_, context.area, context.report, context.progress);
  }

 private:
  SliceOptions options_;
};

std::vector<PassOption> slice_options() {
  using enum OptionKind;
  return {
      {.name = "target_params",
       .kind = kNumber,
       .help = "Share of the real parameters that stays at most, e.g. 0.9"},
      {.name = "sparsity",
       .kind = kNumber,
       .help = "Share of the sliced width that goes, as SliceGPT counts it (with `rotation` or `uniform`)"},
      {.name = "streams",
       .kind = kWords,
       .help = "What to slice: hidden, value (both is the default; hidden alone keeps N:M patterns and makes "
               "the smaller GGUF file), or residual, separated by commas",
       .choices = {"hidden", "value", "residual"}},
      {.name = "uniform",
       .kind = kFlag,
       .help = "One hidden width for all layers: the result is an ordinary checkpoint of its family"},
      {.name = "ridge", .kind = kNumber, .help = "Damping of the refits, relative (default 0.001)"},
      {.name = "round_interval",
       .kind = kCount,
       .help = "Widths are multiples of it (default 8)",
       .least = 1},
      {.name = "rotation",
       .kind = kWord,
       .help = "Slice the residual stream: block (SliceGPT: a basis per stage, with shortcut matrices) or "
               "global (one basis, no shortcuts)",
       .choices = names_of(kRotationWords)},
      {.name = "covariance",
       .kind = kWord,
       .help = "Of the residual stream, for its basis: raw, or normalized as the norms see it (default)",
       .choices = names_of(kCovarianceWords)},
      {.name = "slice_head",
       .kind = kFlag,
       .help = "Whether what the head reads is sliced too (default yes)",
       .opposite = "no_slice_head"},
      keep_tie_option(),
  };
}

void choose_streams(const OptionValues& values, SliceOptions& options) {
  const bool rotation = values.contains("rotation");
  if (!values.contains("streams")) {
    options.residual = rotation;
    return;
  }
  options.hidden = options.value = false;
  for (const Json& stream : values.at("streams")) {
    if (stream == "residual") options.residual = true;
    if (stream == "hidden") options.hidden = true;
    if (stream == "value") options.value = true;
  }
  if (options.residual && (options.hidden || options.value))
    fail(ErrorCode::kUsage, "`streams`: the residual stream is sliced on its own, not together with others");
  if (rotation && !options.residual) fail(ErrorCode::kUsage, "`rotation` goes with `streams residual`");
}

std::unique_ptr<Pass> make_slice(const OptionValues& values) {
  SliceOptions options;
  if (values.contains("target_params")) options.target_params = values.at("target_params").get<double>();
  if (values.contains("sparsity")) options.sparsity = values.at("sparsity").get<double>();
  take_option(values, "uniform", options.uniform);
  take_option(values, "ridge", options.ridge);
  take_option(values, "round_interval", options.round_interval);
  take_option(values, "rotation", kRotationWords, options.rotation);
  take_option(values, "covariance", kCovarianceWords, options.covariance);
  take_option(values, "slice_head", options.slice_head);
  take_option(values, "keep_tie", options.keep_tie);
  choose_streams(values, options);
  return slice_pass(options);
}

// "0.1" → 0.9 stays: the short form says which share goes.
OptionValues target_params(const std::string& text) {
  char* end = nullptr;
  const double gone = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(gone > 0.0 && gone < 1.0))
    fail(ErrorCode::kUsage, "'{}' is not a share of the parameters, more than 0 and less than 1", text);
  return {{"target_params", 1.0 - gone}};
}

}  // namespace

PassOption keep_tie_option() {
  return {.name = "keep_tie",
          .kind = OptionKind::kFlag,
          .help = "Whether a tied head stays tied, behind a matrix (default yes)",
          .opposite = "untie"};
}

std::unique_ptr<Pass> slice_pass(const SliceOptions& options) { return std::make_unique<SlicePass>(options); }

PassKind slice_kind() {
  return {.name = "slice",
          .help = "Cut the width of a model's streams, without training",
          .options = slice_options(),
          .make = make_slice,
          .short_form = target_params,
          .entries = "errors",
          .summary = {}};
}

}  // namespace pare
