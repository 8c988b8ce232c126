// Several generations at once: every step reads the weights once for all of them.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "engine/sequence.h"

namespace pare {

// A generation to be done in a batch. All functions are called by BatchGenerator::step().
struct BatchRequest {
  std::vector<int32_t> prompt;  // as starting_ids() returns it
  GenerateOptions options;      // valid
  TextSink sink;
  ScoreSink scores = {};              // called as by GeneratedSequence; needed when options.logprobs is set
  std::function<bool()> wanted = {};  // asked before every step: false ends it as cancelled; empty: true
  std::function<void(const Generation&)> done;  // prompt_tokens: tokens of the prompt that were worked on
  std::function<void(const Error&)> failed;     // called instead of done
};

// Runs up to a number of sequences side by side and keeps the others waiting, first come, first served. A
// prompt that begins as an earlier sequence does is not worked on again as far as they agree. A sequence gets
// the tokens that Generator would give it, but where products run on tiles: sums are rounded otherwise there
// when other sequences run beside it.
class BatchGenerator {
 public:
  // Makes room for `sequences` of `context` tokens each. Both references must outlive the generator. Throws
  // kUsage when a limit is below 1.
  BatchGenerator(const PackedModel& model, const Tokenizer& tokenizer, int64_t sequences, int64_t context);

  int64_t context() const { return context_; }
  // Number of sequences that run or wait.
  int64_t unfinished() const;
  bool idle() const { return unfinished() == 0; }
  int64_t running() const;
  // Share of the room for keys and values that the running sequences fill, 0 to 1.
  double fullness() const;
  void add(BatchRequest request) { waiting_.push_back(std::move(request)); }
  // Works on tokens of prompts up to kPrefillChunk, fewer beside sequences that already generate, and on one
  // more token of each of those. A failure ends all sequences that were part of the step.
  void step();

 private:
  struct Running {
    Running(const PackedModel& model, const Tokenizer& tokenizer, std::vector<int32_t>& history,
            int64_t cached, int64_t capacity, const BatchRequest& request)
        : sequence(model, tokenizer, history, cached, capacity, request.options, request.sink,
                   request.scores),
          wanted(request.wanted),
          done(request.done),
          failed(request.failed) {}

    GeneratedSequence sequence;
    std::function<bool()> wanted;
    std::function<void(const Generation&)> done;
    std::function<void(const Error&)> failed;
  };
  // Keys and values that outlive a sequence, for the next one that begins alike.
  struct Slot {
    explicit Slot(KvCache kv) : cache(std::move(kv)) {}

    KvCache cache;
    std::vector<int32_t> history;      // tokens of the slot; the cache holds the first of them
    std::unique_ptr<Running> running;  // null: free
    int64_t order = 0;                 // number of the admission
  };

  void drop_unwanted();
  void admit();
  Slot* best_slot(std::span<const int32_t> prompt);
  // Returns the slots at work, in the order of admission.
  std::vector<Slot*> at_work();
  void run(const std::vector<Slot*>& slots);
  void finish(Slot& slot);
  static void fail_all(const std::vector<Slot*>& slots, const Error& error);

  const PackedModel& model_;
  const Tokenizer& tokenizer_;
  int64_t context_;
  std::deque<Slot> slots_;
  std::deque<BatchRequest> waiting_;
  int64_t admitted_ = 0;
};

}  // namespace pare
