#include "engine/model_defaults.h"

#include "base/log.h"
#include "checkpoint/generation_config.h"

namespace pare {

SamplingOptions SamplingChoice::over(SamplingOptions defaults) const {
  defaults.temperature = temperature.value_or(defaults.temperature);
  defaults.top_k = top_k.value_or(defaults.top_k);
  defaults.top_p = top_p.value_or(defaults.top_p);
  defaults.min_p = min_p.value_or(defaults.min_p);
  defaults.repetition_penalty = repetition_penalty.value_or(defaults.repetition_penalty);
  validate(defaults);
  return defaults;
}

GenerateOptions GenerationChoice::over(GenerateOptions defaults) const {
  defaults.sampling = sampling.over(defaults.sampling);
  defaults.sampling.seed = seed;
  defaults.max_tokens = max_tokens.value_or(defaults.max_tokens);
  defaults.stop = stop;
  defaults.ignore_eos = ignore_eos;
  if (ignore_eos) defaults.stop_ids.clear();
  validate(defaults);
  return defaults;
}

ModelDefaults model_defaults(const std::string& model, const ChatInfo& chat,
                             const GenerateOptions& otherwise) {
  const GenerationConfig config = read_generation_config(model);
  ModelDefaults defaults{otherwise, config.source};
  defaults.options.sampling = sampling_of(config, otherwise.sampling);
  if (describe(defaults.options.sampling) == describe(otherwise.sampling)) defaults.source.clear();
  defaults.options.max_tokens = config.max_new_tokens.value_or(otherwise.max_tokens);
  if (chat.eos) defaults.options.stop_ids.push_back(*chat.eos);
  return defaults;
}

void log_defaults(const ModelDefaults& defaults, const SamplingOptions& used) {
  if (!defaults.source.empty())
    log_info("sampling is {}; defaults are those of {}", describe(used), defaults.source);
}

}  // namespace pare
