#include "engine/sequence.h"

#include <algorithm>
#include <utility>

#include "base/parallel.h"
#include "base/seconds.h"
#include "runtime/forward.h"

namespace pare {
namespace {

constexpr int64_t kScoredRows = 64;  // positions of a prompt whose logits exist at once

bool contains(const std::vector<int32_t>& ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

GeneratedSequence::GeneratedSequence(const PackedModel& model, const Tokenizer& tokenizer,
                                     std::vector<int32_t>& history, int64_t cached, int64_t capacity,
                                     GenerateOptions options, TextSink sink, ScoreSink scores)
    : model_(model),
      tokenizer_(tokenizer),
      history_(history),
      options_(std::move(options)),
      sink_(std::move(sink)),
      scores_(std::move(scores)),
      limit_(std::min(capacity - static_cast<int64_t>(history.size()), options_.max_tokens)),
      ends_(all_ends()),
      prompt_(static_cast<int64_t>(history.size())),
      sampler_(options_.sampling),
      decoder_(tokenizer),
      stops_(options_.stop) {
  PARE_CHECK(cached < prompt_);
  PARE_CHECK(!options_.logprobs || scores_);
  if (limit_ < std::min<int64_t>(1, options_.max_tokens))
    fail(ErrorCode::kInvalid, "{} tokens leave no room in a context of {}", prompt_, capacity);
  result_.prompt_tokens = prompt_ - cached;
  if (scores_prompt()) prompt_scores_.push_back({.id = history.front(), .logprob = {}, .top = {}});
}

std::vector<int32_t> GeneratedSequence::all_ends() const {
  std::vector<int32_t> ends = options_.stop_ids;
  if (!options_.ignore_eos) ends.insert(ends.end(), model_.config.eos.begin(), model_.config.eos.end());
  return ends;
}

void GeneratedSequence::take_prompt(const Activation& hidden) {
  const auto first = static_cast<int64_t>(prompt_scores_.size());  // number of the token that row 0 predicts
  const int64_t rows = std::min(hidden.rows(), prompt_ - first);
  prompt_scores_.resize(static_cast<size_t>(first + rows));
  for (int64_t begin = 0; begin < rows; begin += kScoredRows) {
    const int64_t count = std::min(kScoredRows, rows - begin);
    const Matrix<float> logits = logits_of(model_, hidden.rows_of(begin, count));
    parallel_for(count, [&](int64_t r) {
      const auto at = static_cast<size_t>(first + begin + r);
      prompt_scores_[at] =
          score_token({logits.row(r), static_cast<size_t>(logits.cols())}, history_[at], *options_.logprobs);
    });
  }
}

std::optional<FinishReason> GeneratedSequence::push_text(int32_t id) {
  // A model may have more rows than its tokenizer has tokens: such ids have no text.
  if (id >= tokenizer_.vocab_size()) return std::nullopt;
  const std::string text = decoder_.push(id);
  const bool may_stop = static_cast<int64_t>(result_.tokens.size()) > options_.min_tokens;
  const bool go_on = hand_out(may_stop ? stops_.push(text) : text);
  if (stops_.stopped()) return FinishReason::kStop;
  return go_on ? std::nullopt : std::optional(FinishReason::kCancelled);
}

void GeneratedSequence::end(FinishReason reason) {
  result_.finish = reason;
  if (reason != FinishReason::kCancelled) {
    std::string rest = stops_.push(decoder_.finish());
    rest += stops_.finish();
    hand_out(rest);
  }
  if (begun()) result_.decode_seconds = seconds_since(start_);
}

bool GeneratedSequence::take(std::span<const float> logits) {
  if (taken_++ == 0) {
    result_.prefill_seconds = seconds_since(start_);
    start_ = Clock::now();
  }
  result_.decode_steps = taken_ - 1;
  if (!prompt_scores_.empty()) scores_(std::exchange(prompt_scores_, {}));
  if (limit_ == 0) {
    end(FinishReason::kLength);
    return false;
  }
  const bool may_end = static_cast<int64_t>(result_.tokens.size()) >= options_.min_tokens;
  const int32_t id =
      sampler_.sample(logits, history_, result_.tokens.size(), may_end ? std::span<const int32_t>() : ends_);
  if (options_.logprobs) scores_({score_token(logits, id, *options_.logprobs)});
  if (may_end && contains(ends_, id)) {
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
