#include "compress/run/sources.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "checkpoint/load.h"

namespace pare {
namespace {

constexpr const char* kSelf = "self";

// Returns the part of the i-th source in `samples`.
int64_t samples_of(const CompressionOptions& options, int64_t samples, size_t i) {
  const auto sources = static_cast<int64_t>(options.calib.size());
  return samples / sources + (static_cast<int64_t>(i) < samples % sources ? 1 : 0);
}

}  // namespace

void require_sources(const CompressionOptions& options) {
  const std::set<std::string> distinct(options.calib.begin(), options.calib.end());
  if (distinct.empty()) fail(ErrorCode::kUsage, "`calib` names no source");
  if (distinct.size() < options.calib.size()) fail(ErrorCode::kUsage, "`calib` names a source twice");
  if (static_cast<int64_t>(distinct.size()) > options.nsamples)
    fail(ErrorCode::kUsage, "`nsamples` is {}, expected one or more for each of {} sources (`calib`)",
         options.nsamples, distinct.size());
}

CalibrationPlan plan_of(const CompressionOptions& options, const Passes& passes, const ModelConfig& config,
                        int ranks) {
  CalibrationPlan plan = {options.nsamples, std::min(options.seqlen, config.max_positions), 0, ranks, 0};
  for (const auto& pass : passes)
    if (const int64_t wanted = pass->training_sequences(plan.seqlen); wanted > 0)
      plan.training = std::max({plan.training, wanted, plan.nsamples});
  for (size_t i = 0; i < options.calib.size(); ++i)
    if (options.calib[i] == kSelf)
      plan.self_samples = samples_of(options, std::max(plan.nsamples, plan.training), i);
  return plan;
}

void require_writers(const Passes& passes, const ModelConfig& config, const CalibrationPlan& plan) {
  for (const auto& pass : passes) {
    const Model* writer = pass->writer();
    if (writer == nullptr) continue;
    if (writer->config.vocab_size != config.vocab_size)
      fail(ErrorCode::kInvalid,
           "the teacher has a vocabulary of {} tokens, the model one of {}: it has to be the model before "
           "compression",
           writer->config.vocab_size, config.vocab_size);
    if (writer->config.max_positions < plan.seqlen)
      fail(ErrorCode::kInvalid, "`seqlen` is {}, and the teacher was made for at most {} positions",
           plan.seqlen, writer->config.max_positions);
  }
}

std::string source_kinds(const CompressionOptions& options) {
  std::string kinds;
  for (const std::string& source : options.calib)
    kinds += (kinds.empty() ? "" : " + ") + std::string(source == kSelf ? kSelf : "text");
  return kinds;
}

std::optional<Tokenizer> tokenizer_for(const CompressionOptions& options) {
  try {
    return load_tokenizer(options.model);
  } catch (const Error& error) {
    const auto is_self = [](const std::string& source) { return source == kSelf; };
    // A GGUF file's tokenizer is written anew, so pare has to understand it.
    if (is_gguf_path(options.model) || !std::all_of(options.calib.begin(), options.calib.end(), is_self))
      throw;
    log_warning(
        "{}; the model's own text, which calibrates it, may begin with any token, and the tokenizer's files "
        "are carried on as they are",
        error.what());
    return std::nullopt;
  }
}

std::vector<CalibrationSet> text_sets(const CompressionOptions& options,
                                      const std::optional<Tokenizer>& tokenizer, const ModelConfig& config,
                                      const CalibrationPlan& plan) {
  std::vector<CalibrationSet> sets(options.calib.size());
  for (size_t i = 0; i < sets.size(); ++i)
    if (const std::string& source = options.calib[i]; source != kSelf)
      sets[i] = calibration_from_text(*tokenizer, options.read_text(source), config.eos,
                                      samples_of(options, plan.nsamples, i), plan.seqlen,
                                      samples_of(options, plan.training, i));
  size_t sequences = 0;
  for (const CalibrationSet& set : sets) sequences += set.sequences.size();
  if (plan.training > 0 && plan.self_samples == 0 && sequences < 2)
    fail(ErrorCode::kInvalid,
         "the calibration text has one sequence of {} tokens; training needs two, of which one is held back",
         plan.seqlen);
  return sets;
}

void fit_to_texts(CalibrationPlan& plan, const std::vector<CalibrationSet>& sets) {
  int64_t sequences = plan.self_samples;
  for (const CalibrationSet& set : sets) sequences += static_cast<int64_t>(set.sequences.size());
  plan.training = std::min(plan.training, sequences);
}

}  // namespace pare
