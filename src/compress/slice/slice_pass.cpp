#include "compress/slice/slice_pass.h"

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
  std::unique_ptr<StageEditor> prepare(Model& model, const CalibrationSet& set, WorkArea& area,
                                       Report& report, const PassProgress& progress) const override {
    return slice(model, set, options_, area, report, progress);
  }

 private:
  SliceOptions options_;
};

}  // namespace

std::unique_ptr<Pass> slice_pass(const SliceOptions& options) { return std::make_unique<SlicePass>(options); }

}  // namespace pare
