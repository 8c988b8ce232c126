#include "compress/run_passes.h"

#include <algorithm>

#include "compress/estimate.h"
#include "compress/passes.h"
#include "runtime/kv_cache.h"
#include "runtime/packed_model.h"

namespace pare {
namespace {

// The model in memory, and the caches of the sequences it writes at once.
int64_t writing_memory(const Model& model, const CalibrationPlan& plan) {
  const ModelConfig& config = model.config;
  const int64_t group = calibration_group(config, plan.self_samples, plan.seqlen);
  const int64_t cache = cache_bytes_of_token(config, ComputeType::kBF16);
  return model_size(model).dense_parameters * row_bytes(Encoding::kBF16, 1) + group * plan.seqlen * cache +
         group * config.vocab_size * 4;
}

double writing_seconds(const Model& model, const Tokenizer* tokenizer, const CalibrationPlan& plan) {
  const int64_t group = calibration_group(model.config, plan.self_samples, plan.seqlen);
  const Stopwatch packing;
  { const PackedModel packed(model, ComputeType::kBF16); }
  const double pack = packing.seconds();
  constexpr int64_t kTokens = 4;
  const int64_t length = std::min(kTokens, model.config.max_positions);
  if (length < 2) return pack;
  WorkArea area;
  const Stopwatch writing;
  calibration_from_model(model, tokenizer, group, length, 0, area);
  const double step = std::max(0.0, writing.seconds() - pack) / static_cast<double>(length - 1);
  // Each rank writes some of the groups.
  const int64_t rounds = share_of(share_of(plan.self_samples, group), plan.ranks);
  return pack + step * static_cast<double>(plan.seqlen * rounds);
}

std::string scope_of(const Passes& passes, size_t i) {
  return passes.size() == 1 ? "" : fmt::format("{}-{}", i + 1, passes[i]->name());
}

}  // namespace

const Model& writer_of(const Model& model, const Passes& passes) {
  for (const auto& pass : passes)
    if (pass->writer() != nullptr) return *pass->writer();
  return model;
}

Json options_of(const Passes& passes) {
  if (passes.size() == 1) return passes.front()->options();
  Json json;
  for (size_t i = 0; i < passes.size(); ++i) json[scope_of(passes, i)] = passes[i]->options();
  return json;
}

Needs needs_of(const Model& model, const Passes& passes, const CalibrationPlan& plan, Encoding dtype) {
  Needs needs;
  for (const auto& pass : passes) {
    const Needs one = pass->needs(model, plan, dtype);
    needs.memory = std::max(needs.memory, one.memory);
    needs.activations =
        pass->can_join() ? needs.activations + one.activations : std::max(needs.activations, one.activations);
    needs.disk += one.disk;  // files of a finished pass stay until the output is complete
  }
  if (plan.self_samples > 0)
    needs.memory = std::max(needs.memory, writing_memory(writer_of(model, passes), plan));
  return needs;
}

double seconds_of(const Model& model, const Tokenizer* tokenizer, const Passes& passes,
                  const CalibrationPlan& plan) {
  double seconds = plan.self_samples > 0 ? writing_seconds(writer_of(model, passes), tokenizer, plan) : 0.0;
  for (const auto& pass : passes) seconds += pass->seconds(model, plan);
  return seconds;
}

Model run_passes(const Model& model, const CalibrationSet& set, const Passes& passes, WorkArea& area,
                 Report& report, const PassProgress& progress, const CalibrationSet* training,
                 const WrittenBytes& written_bytes) {
  const WrittenBytes written =
      written_bytes ? written_bytes : [](const Model& one) { return model_size(one).bytes; };
  const PassContext context = {set,    training != nullptr ? *training : set, model, area, report, progress,
                               written};
  Model current = model;
  for (const PassKind& kind : pass_kinds()) report.entries.try_emplace(kind.entries);  // an empty list, too
  Json recipes = Json::array();
  StageEditors editors;  // editors of the passes that share the next walk
  const CalibrationSet* walked = &set;
  const auto trains = [&](const auto& pass) { return pass->training_sequences(set.seqlen()) > 0; };
  const auto walk = [&] {
    if (editors.empty()) return;
    current = edit_stages(current, *walked, editors, area, report, progress);
    editors.clear();
  };
  for (size_t i = 0; i < passes.size(); ++i) {
    const CalibrationSet* walks = trains(passes[i]) ? &context.training : &set;
    if (!passes[i]->can_join() || walks != walked) walk();
    walked = walks;
    area.enter(scope_of(passes, i));
    auto editor = passes[i]->prepare(current, context);
    if (editor) editors.push_back(std::move(editor));
    recipes.push_back(report.recipe);
  }
  walk();
  area.enter("");
  for (size_t i = 0; i < passes.size(); ++i)
    passes[i]->measure(current, passes.size() > 1 ? recipes[i] : report.recipe, report);
  if (passes.size() > 1) report.recipe = {{"passes", recipes}};
  report.recipe["calibration"] = {{"source", set.source},
                                  {"nsamples", set.sequences.size()},
                                  {"seqlen", set.seqlen()},
                                  {"tokens_sha256", set.sha256}};
  if (std::any_of(passes.begin(), passes.end(), trains))
    report.recipe["training"] = {{"nsamples", context.training.sequences.size()},
                                 {"seqlen", context.training.seqlen()},
                                 {"tokens_sha256", context.training.sha256}};
  report.before = model_size(model);
  report.before_by_role = role_sizes(model);
  report.after = model_size(current);
  return current;
}

}  // namespace pare
