#include "engine/generator.h"

#include <algorithm>
#include <chrono>

#include "engine/stop_filter.h"
#include "model/forward.h"

namespace pare {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The ids to start from, checked against the model.
std::vector<int32_t> starting_ids(std::span<const int32_t> prompt, const ModelConfig& config) {
  std::vector<int32_t> ids(prompt.begin(), prompt.end());
  if (ids.empty() && config.bos) ids.push_back(*config.bos);
  if (ids.empty()) fail(ErrorCode::kInvalid, "the prompt is empty and the model has no BOS token");
  if (static_cast<int64_t>(ids.size()) >= config.max_positions)
    fail(ErrorCode::kInvalid, "the prompt of {} tokens leaves no room in the model's context of {}",
         ids.size(), config.max_positions);
  return ids;
}

// Appends tokens to the sequence and returns the logits of the last one, (1, vocab).
Matrix<float> last_logits(const PackedModel& model, std::span<const int32_t> tokens, KvCache& cache) {
  const Matrix<float> hidden = forward(model, tokens, cache);
  return logits_of(model, hidden.view().rows_of(hidden.rows() - 1, 1));
}

// Tokens to text to the sink.
class TextStream {
 public:
  TextStream(const Tokenizer& tokenizer, const std::vector<std::string>& stops, const TextSink& sink)
      : tokenizer_(tokenizer), decoder_(tokenizer), stops_(stops), sink_(sink) {}

  // Why to end after this token, if so.
  std::optional<FinishReason> push(int32_t id) {
    // A model may have more rows than its tokenizer has tokens: such ids have no text.
    if (id >= tokenizer_.vocab_size()) return std::nullopt;
    const bool go_on = hand_out(stops_.push(decoder_.push(id)));
    if (stops_.stopped()) return FinishReason::kStop;
    return go_on ? std::nullopt : std::optional(FinishReason::kCancelled);
  }
  void finish() { hand_out(stops_.push(decoder_.finish()) + stops_.finish()); }

 private:
  bool hand_out(const std::string& text) { return text.empty() || sink_(text); }

  const Tokenizer& tokenizer_;
  StreamDecoder decoder_;
  StopFilter stops_;
  const TextSink& sink_;
};

}  // namespace

std::string_view finish_reason_name(FinishReason reason) {
  constexpr std::string_view kNames[] = {"eos", "stop", "length", "cancelled"};
  return kNames[static_cast<size_t>(reason)];
}

void validate(const GenerateOptions& options) {
  if (options.max_tokens < 1)
    fail(ErrorCode::kUsage, "--max-tokens is {}, expected 1 or more", options.max_tokens);
  validate(options.sampling);
  for (const std::string& stop : options.stop)
    if (stop.empty()) fail(ErrorCode::kUsage, "--stop is empty");
}

Generation Generator::generate(std::span<const int32_t> prompt, const GenerateOptions& options,
                               const TextSink& sink) const {
  validate(options);
  std::vector<int32_t> history = starting_ids(prompt, model_.config);
  const auto tokens = static_cast<int64_t>(history.size());
  KvCache cache(model_, tokens + std::min(model_.config.max_positions - tokens, options.max_tokens));
  return extend(history, cache, options, sink);
}

Generation Generator::extend(std::vector<int32_t>& history, KvCache& cache, const GenerateOptions& options,
                             const TextSink& sink) const {
  validate(options);
  const auto tokens = static_cast<int64_t>(history.size());
  PARE_CHECK(cache.length() < tokens);
  const int64_t limit = std::min(cache.capacity() - tokens, options.max_tokens);
  if (limit < 1)
    fail(ErrorCode::kInvalid, "{} tokens leave no room in a context of {}", tokens, cache.capacity());
  Sampler sampler(options.sampling);
  TextStream text(tokenizer_, options.stop, sink);
  Generation result;
  result.prompt_tokens = tokens - cache.length();

  auto start = std::chrono::steady_clock::now();
  Matrix<float> logits = last_logits(model_, std::span(history).subspan(cache.length()), cache);
  result.prefill_seconds = seconds_since(start);
  start = std::chrono::steady_clock::now();
  const auto ends = [&](int32_t id) {
    const auto in = [id](const std::vector<int32_t>& ids) {
      return std::find(ids.begin(), ids.end(), id) != ids.end();
    };
    return !options.ignore_eos && (in(model_.config.eos) || in(options.stop_ids));
  };
  while (true) {
    const int32_t id = sampler.sample({logits.data(), static_cast<size_t>(logits.cols())}, history);
    if (ends(id)) {
      result.finish = FinishReason::kEos;
      break;
    }
    history.push_back(id);
    result.tokens.push_back(id);
    if (const auto reason = text.push(id)) {
      result.finish = *reason;
      break;
    }
    if (static_cast<int64_t>(result.tokens.size()) == limit) break;
    logits = last_logits(model_, std::span(&history.back(), 1), cache);
    ++result.decode_steps;
  }
  if (result.finish != FinishReason::kCancelled) text.finish();
  result.decode_seconds = seconds_since(start);
  return result;
}

}  // namespace pare
