#include "engine/sequence.h"

#include <algorithm>

#include "engine/seconds.h"

namespace pare {
namespace {

bool contains(const std::vector<int32_t>& ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

GeneratedSequence::GeneratedSequence(const PackedModel& model, const Tokenizer& tokenizer,
                                     std::vector<int32_t>& history, int64_t cached, int64_t capacity,
                                     GenerateOptions options, TextSink sink)
    : model_(model),
      tokenizer_(tokenizer),
      history_(history),
      options_(std::move(options)),
      sink_(std::move(sink)),
      limit_(std::min(capacity - static_cast<int64_t>(history.size()), options_.max_tokens)),
      sampler_(options_.sampling),
      decoder_(tokenizer),
      stops_(options_.stop) {
  const auto tokens = static_cast<int64_t>(history.size());
  PARE_CHECK(cached < tokens);
  if (limit_ < 1) fail(ErrorCode::kInvalid, "{} tokens leave no room in a context of {}", tokens, capacity);
  result_.prompt_tokens = tokens - cached;
}

bool GeneratedSequence::ends(int32_t id) const {
  return !options_.ignore_eos && (contains(model_.config.eos, id) || contains(options_.stop_ids, id));
}

std::optional<FinishReason> GeneratedSequence::push_text(int32_t id) {
  // A model may have more rows than its tokenizer has tokens: such ids have no text.
  if (id >= tokenizer_.vocab_size()) return std::nullopt;
  const bool go_on = hand_out(stops_.push(decoder_.push(id)));
  if (stops_.stopped()) return FinishReason::kStop;
  return go_on ? std::nullopt : std::optional(FinishReason::kCancelled);
}

void GeneratedSequence::end(FinishReason reason) {
  result_.finish = reason;
  if (reason != FinishReason::kCancelled) hand_out(stops_.push(decoder_.finish()) + stops_.finish());
  if (begun()) result_.decode_seconds = seconds_since(start_);
}

bool GeneratedSequence::take(std::span<const float> logits) {
  if (taken_++ == 0) {
    result_.prefill_seconds = seconds_since(start_);
    start_ = Clock::now();
  }
  result_.decode_steps = taken_ - 1;
  const int32_t id = sampler_.sample(logits, history_);
  if (ends(id)) {
    end(FinishReason::kEos);
    return false;
  }
  history_.push_back(id);
  result_.tokens.push_back(id);
  if (const auto reason = push_text(id)) {
    end(*reason);
    return false;
  }
  if (static_cast<int64_t>(result_.tokens.size()) < limit_) return true;
  end(FinishReason::kLength);
  return false;
}

}  // namespace pare
