#include "compress/sparsify/sparsify_pass.h"

#include "compress/sparsify/cost.h"

namespace pare {
namespace {

class SparsifyPass final : public Pass {
 public:
  explicit SparsifyPass(SparsifyOptions options) : options_(std::move(options)) { validate(options_); }

  std::string name() const override { return "sparsify"; }
  void require_applicable(const Model& model) const override { pare::require_applicable(model, options_); }
  Pattern pattern() const override { return options_.prune.pattern; }
  Pattern makes_pattern(const Model& model, int64_t block, Role role) const override {
    return selects(model, options_, block, role) ? options_.prune.pattern : kDense;
  }
  bool loses_pattern(const Model& model, int64_t block, Role role, Pattern pattern) const override {
    return loosens(model, options_, block, role, pattern);
  }
  std::string how_to_keep_patterns() const override {
    return "a `pattern` that implies it keeps it, and `shuffle_streams inner` where linears are left alone";
  }
  Json options() const override { return to_json(options_); }
  Needs needs(const Model& model, const CalibrationPlan& plan, Encoding dtype) const override {
    return sparsify_needs(model, options_, plan, dtype);
  }
  double seconds(const Model& model, const CalibrationPlan& plan) const override {
    return sparsify_seconds(model, options_, plan);
  }
  std::unique_ptr<StageEditor> prepare(Model& model, const CalibrationSet& set, WorkArea& area,
                                       Report& report, const PassProgress& progress) const override {
    return sparsify(model, set, options_, area, report, progress);
  }
  // How much a stage may lose depends on all others.
  bool can_join() const override { return !options_.target_bytes; }

 private:
  SparsifyOptions options_;
};

}  // namespace

std::unique_ptr<Pass> sparsify_pass(SparsifyOptions options) {
  return std::make_unique<SparsifyPass>(std::move(options));
}

}  // namespace pare
