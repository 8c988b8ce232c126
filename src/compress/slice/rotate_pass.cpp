#include "compress/slice/rotate_pass.h"

#include "compress/slice/cost.h"
#include "compress/slice/residual.h"
#include "compress/slice/slice_pass.h"

namespace pare {
namespace {

class RotatePass final : public Pass {
 public:
  explicit RotatePass(bool keep_tie) : keep_tie_(keep_tie) {}

  std::string name() const override { return "rotate"; }
  void require_applicable(const Model& model) const override { require_rotatable(model); }
  // Every linear of a block reads the stream or writes it.
  bool loses_pattern(const Model&, int64_t, Role, Pattern) const override { return true; }
  std::string how_to_keep_patterns() const override { return "rotate the dense model, and make that sparse"; }
  std::string no_gguf(const Model& model) const override {
    return keep_tie_ && model.head.empty() ? "a tied head that stays tied reads through a matrix, which GGUF "
                                             "has no place for; `untie` gives "
                                             "the head a matrix of its own"
                                           : "";
  }
  Json options() const override { return {{"keep_tie", keep_tie_}}; }
  Needs needs(const Model& model, const CalibrationPlan& plan, Encoding dtype) const override {
    return slice_needs(model, as_slice(), plan, dtype);
  }
  double seconds(const Model& model, const CalibrationPlan& plan) const override {
    CalibrationPlan none = plan;
    none.nsamples = 0;
    return slice_seconds(model, as_slice(), none);
  }
  std::unique_ptr<StageEditor> prepare(Model& model, const PassContext& context) const override {
    ResidualOptions options;
    options.width = model.config.embedding_width;
    options.rotation = Rotation::kRandom;
    options.keep_tie = keep_tie_;
    context.report.recipe = {{"method", "rotate"}, {"keep_tie", keep_tie_}};
    model = slice_residual(model, context.set, options, context.area, context.report, context.progress);
    return nullptr;
  }

 private:
  SliceOptions as_slice() const {
    SliceOptions options;
    options.sparsity = 0.0;
    options.residual = true;
    options.rotation = Rotation::kRandom;
    options.keep_tie = keep_tie_;
    return options;
  }

  bool keep_tie_;
};

std::unique_ptr<Pass> make_rotate(const OptionValues& values) {
  bool keep_tie = true;
  take_option(values, "keep_tie", keep_tie);
  return std::make_unique<RotatePass>(keep_tie);
}

}  // namespace

PassKind rotate_kind() {
  return {.name = "rotate",
          .help = "Mix the channels of the residual stream: the same function, which loses less when rounded",
          .options = {keep_tie_option()},
          .make = make_rotate,
          .short_form = [](const std::string& text) -> OptionValues {
            fail(ErrorCode::kUsage, "rotate takes no '{}' behind its name", text);
          },
          .entries = "exact_checks",
          .summary = {}};
}

}  // namespace pare
