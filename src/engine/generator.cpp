#include "engine/generator.h"

#include <algorithm>

#include "engine/sequence.h"
#include "runtime/forward.h"

namespace pare {
namespace {

// Appends tokens to the sequence and returns the logits of the last one, (1, vocab).
Matrix<float> last_logits(const PackedModel& model, std::span<const int32_t> tokens, KvCache& cache) {
  const Activation hidden = forward(model, tokens, cache);
  return logits_of(model, hidden.rows_of(hidden.rows() - 1, 1));
}

}  // namespace

std::string_view finish_reason_name(FinishReason reason) {
  constexpr std::string_view kNames[] = {"eos", "stop", "length", "cancelled"};
  return kNames[static_cast<size_t>(reason)];
}

void validate(const GenerateOptions& options) {
  if (options.max_tokens < 0)
    fail(ErrorCode::kUsage, "`max_tokens` is {}, expected 0 or more", options.max_tokens);
  if (options.min_tokens < 0)
    fail(ErrorCode::kUsage, "min_tokens is {}, expected 0 or more", options.min_tokens);
  if (options.logprobs.value_or(0) < 0)
    fail(ErrorCode::kUsage, "logprobs is {}, expected 0 or more", *options.logprobs);
  validate(options.sampling);
  for (const std::string& stop : options.stop)
    if (stop.empty()) fail(ErrorCode::kUsage, "`stop` is empty");
}

int64_t usable_context(int64_t context, const ModelConfig& config) {
  if (context < 1) fail(ErrorCode::kUsage, "`context` is {}, expected 1 or more", context);
  return std::min(context, config.max_positions);
}

int64_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

double token_rate(int64_t tokens, double seconds) {
  return seconds > 0.0 ? static_cast<double>(tokens) / seconds : 0.0;
}

std::vector<int32_t> starting_ids(std::span<const int32_t> prompt, const ModelConfig& config,
                                  int64_t context) {
  std::vector<int32_t> ids(prompt.begin(), prompt.end());
  if (ids.empty() && config.bos) ids.push_back(*config.bos);
  if (ids.empty()) fail(ErrorCode::kInvalid, "the prompt is empty and the model has no BOS token");
  for (const int32_t id : ids)
    if (id < 0 || id >= config.vocab_size)
      fail(ErrorCode::kInvalid, "token id {} is outside the vocabulary of {}", id, config.vocab_size);
  if (static_cast<int64_t>(ids.size()) >= context)
    fail(ErrorCode::kInvalid, "the prompt of {} tokens leaves no room in the model's context of {}",
         ids.size(), context);
  return ids;
}

Generation Generator::generate(std::span<const int32_t> prompt, const GenerateOptions& options,
                               const TextSink& sink) const {
  validate(options);
  std::vector<int32_t> history = starting_ids(prompt, model_.config, model_.config.max_positions);
  const auto tokens = static_cast<int64_t>(history.size());
  KvCache cache(model_, tokens + std::min(model_.config.max_positions - tokens, options.max_tokens));
  return extend(history, cache, options, sink);
}

Generation Generator::extend(std::vector<int32_t>& history, KvCache& cache, const GenerateOptions& options,
                             const TextSink& sink) const {
  validate(options);
  GeneratedSequence sequence(model_, tokenizer_, history, cache.length(), cache.capacity(), options, sink);
  Matrix<float> logits = last_logits(model_, std::span(history).subspan(cache.length()), cache);
  while (sequence.take({logits.data(), static_cast<size_t>(logits.cols())}))
    logits = last_logits(model_, std::span(&history.back(), 1), cache);
  return sequence.result();
}

}  // namespace pare
