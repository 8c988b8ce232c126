// One sequence while it is generated: chooses its tokens, ends it and makes text of them.
#pragma once

#include <chrono>
#include <optional>

#include "engine/generator.h"
#include "engine/scored_token.h"
#include "engine/stop_filter.h"
#include "tensor/matrix.h"

namespace pare {

class GeneratedSequence {
 public:
  // `history`: the tokens so far, at least one more than the `cached` ones that a cache of `capacity` tokens
  // holds. All references must outlive the sequence. Throws kInvalid when the history leaves no room.
  // `scores` is called when options.logprobs says so: once for all of the prompt when that is to be scored,
  // then for each token, the one that ends the sequence included.
  GeneratedSequence(const PackedModel& model, const Tokenizer& tokenizer, std::vector<int32_t>& history,
                    int64_t cached, int64_t capacity, GenerateOptions options, TextSink sink,
                    ScoreSink scores = {});

  // Returns whether take_prompt() needs all of the prompt, from its first token on.
  bool scores_prompt() const { return scores_prompt_of(options_) && !begun(); }
  static bool scores_prompt_of(const GenerateOptions& options) {
    return options.score_prompt && options.logprobs;
  }
  // Scores the tokens that follow tokens of the prompt: the next in order, with final hidden states (tokens,
  // width read by the head).
  void take_prompt(const Activation& hidden);

  // Chooses the token behind the history by its logits, (vocab), and appends it; returns whether another one
  // is to follow. Complete parts of the text go to the sink.
  bool take(std::span<const float> logits);
  // Ends the sequence where it is, as cancelled.
  void cancel() { end(FinishReason::kCancelled); }
  bool begun() const { return taken_ > 0; }  // the prompt has been worked on
  const Generation& result() const { return result_; }

 private:
  using Clock = std::chrono::steady_clock;

  // Returns the tokens that end the sequence.
  std::vector<int32_t> all_ends() const;
  // Returns why to end after this token, if so.
  std::optional<FinishReason> push_text(int32_t id);
  bool hand_out(const std::string& text) { return text.empty() || sink_(text); }
  void end(FinishReason reason);

  const PackedModel& model_;
  const Tokenizer& tokenizer_;
  std::vector<int32_t>& history_;
  GenerateOptions options_;
  TextSink sink_;
  ScoreSink scores_;
  int64_t limit_;              // tokens to generate
  std::vector<int32_t> ends_;  // tokens that end the sequence
  int64_t prompt_;             // tokens of the prompt, those in the cache included
  std::vector<ScoredToken> prompt_scores_;
  Sampler sampler_;
  StreamDecoder decoder_;
  StopFilter stops_;
  int64_t taken_ = 0;
  Clock::time_point start_ = Clock::now();  // start of the prompt, then of the tokens behind it
  Generation result_;
};

}  // namespace pare
