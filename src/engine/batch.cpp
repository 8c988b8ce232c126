#include "engine/batch.h"

#include <algorithm>
#include <new>

#include "runtime/forward.h"

namespace pare {
namespace {

// Tokens of prompts in a step, where other sequences wait for their next token meanwhile.
constexpr int64_t kPrefillBeside = 128;

}  // namespace

BatchGenerator::BatchGenerator(const PackedModel& model, const Tokenizer& tokenizer, int64_t sequences,
                               int64_t context)
    : model_(model), tokenizer_(tokenizer), context_(usable_context(context, model.config)) {
  if (sequences < 1) fail(ErrorCode::kUsage, "`parallel` is {}, expected 1 or more", sequences);
  for (int64_t i = 0; i < sequences; ++i) slots_.emplace_back(KvCache(model, context_));
}

int64_t BatchGenerator::running() const {
  return std::count_if(slots_.begin(), slots_.end(),
                       [](const Slot& slot) { return slot.running != nullptr; });
}

int64_t BatchGenerator::unfinished() const { return static_cast<int64_t>(waiting_.size()) + running(); }

double BatchGenerator::fullness() const {
  int64_t tokens = 0;
  for (const Slot& slot : slots_)
    if (slot.running) tokens += slot.cache.length();
  return static_cast<double>(tokens) / static_cast<double>(context_ * static_cast<int64_t>(slots_.size()));
}

void BatchGenerator::step() {
  drop_unwanted();
  admit();
  const std::vector<Slot*> slots = at_work();
  if (slots.empty()) return;
  try {
    run(slots);
  } catch (const Error& error) {
    fail_all(slots, error);
  } catch (const std::bad_alloc&) {
    fail_all(slots, Error(ErrorCode::kIo, "out of memory"));
  }
}

void BatchGenerator::drop_unwanted() {
  const auto unwanted = [](const std::function<bool()>& wanted) { return wanted && !wanted(); };
  for (Slot& slot : slots_)
    if (slot.running && unwanted(slot.running->wanted)) {
      slot.running->sequence.cancel();
      finish(slot);
    }
  for (auto request = waiting_.begin(); request != waiting_.end();) {
    if (!unwanted(request->wanted)) {
      ++request;
      continue;
    }
    const auto done = std::move(request->done);
    request = waiting_.erase(request);
    done({.tokens = {}, .finish = FinishReason::kCancelled});
  }
}

void BatchGenerator::admit() {
  while (!waiting_.empty()) {
    Slot* slot = best_slot(waiting_.front().prompt);
    if (slot == nullptr) return;
    const BatchRequest request = std::move(waiting_.front());
    waiting_.pop_front();
    const auto tokens = static_cast<int64_t>(request.prompt.size());
    // The logits behind the last token are needed, so it is always worked on. A scored prompt needs
    // the logits behind all tokens.
    const bool anew = GeneratedSequence::scores_prompt_of(request.options);
    slot->cache.truncate(anew ? 0 : std::min(common_prefix(request.prompt, slot->history), tokens - 1));
    slot->history = request.prompt;
    slot->order = admitted_++;
    try {
      slot->running = std::make_unique<Running>(model_, tokenizer_, slot->history, slot->cache.length(),
                                                slot->cache.capacity(), request);
    } catch (const Error& error) {
      slot->history.resize(static_cast<size_t>(slot->cache.length()));
      request.failed(error);
    }
  }
}

// Returns the free slot that already holds the most of the prompt; of several, the one that rested longest.
BatchGenerator::Slot* BatchGenerator::best_slot(std::span<const int32_t> prompt) {
  Slot* best = nullptr;
  int64_t most = -1;
  for (Slot& slot : slots_) {
    if (slot.running) continue;
    const int64_t common = common_prefix(prompt, slot.history);
    if (common > most || (common == most && slot.order < best->order)) {
      best = &slot;
      most = common;
    }
  }
  return best;
}

std::vector<BatchGenerator::Slot*> BatchGenerator::at_work() {
  std::vector<Slot*> slots;
  for (Slot& slot : slots_)
    if (slot.running) slots.push_back(&slot);
  std::sort(slots.begin(), slots.end(), [](const Slot* a, const Slot* b) { return a->order < b->order; });
  return slots;
}

void BatchGenerator::run(const std::vector<Slot*>& slots) {
  const auto begun = [](const Slot* slot) { return slot->running->sequence.begun(); };
  int64_t prompt_tokens = std::any_of(slots.begin(), slots.end(), begun) ? kPrefillBeside : kPrefillChunk;
  std::vector<SequenceStep> steps;
  struct ScoredRows {
    Slot* slot;
    int64_t first;  // row in the batch
    int64_t count;
  };
  std::vector<ScoredRows> scored;  // rows whose logits score a prompt
  std::vector<Slot*> ready;        // slots whose next token can be chosen behind this step
  std::vector<int64_t> last_rows;  // row in the batch of each sequence's last token
  int64_t total = 0;
  for (Slot* slot : slots) {
    const std::span<const int32_t> pending =
        std::span<const int32_t>(slot->history).subspan(static_cast<size_t>(slot->cache.length()));
    auto count = static_cast<int64_t>(pending.size());
    if (!begun(slot)) {
      count = std::min(count, prompt_tokens);
      prompt_tokens -= count;
      if (count == 0) continue;
    }
    steps.push_back({pending.first(static_cast<size_t>(count)), &slot->cache});
    if (slot->running->sequence.scores_prompt()) scored.push_back({slot, total, count});
    total += count;
    if (count < static_cast<int64_t>(pending.size())) continue;
    ready.push_back(slot);
    last_rows.push_back(total - 1);
  }
  const Activation hidden = forward_batch(model_, steps);
  for (const ScoredRows& rows : scored)
    rows.slot->running->sequence.take_prompt(hidden.rows_of(rows.first, rows.count));
  if (ready.empty()) return;
  const Matrix<float> logits = logits_of(model_, pick_rows(hidden, last_rows));
  for (size_t i = 0; i < ready.size(); ++i)
    if (!ready[i]->running->sequence.take(
            {logits.row(static_cast<int64_t>(i)), static_cast<size_t>(logits.cols())}))
      finish(*ready[i]);
}

void BatchGenerator::finish(Slot& slot) {
  const std::unique_ptr<Running> running = std::move(slot.running);
  slot.history.resize(static_cast<size_t>(slot.cache.length()));
  running->done(running->sequence.result());
}

void BatchGenerator::fail_all(const std::vector<Slot*>& slots, const Error& error) {
  for (Slot* slot : slots) {
    const std::unique_ptr<Running> running = std::move(slot->running);
    if (!running) continue;  // the sequence had ended already
    slot->cache.truncate(0);
    slot->history.clear();
    running->failed(error);
  }
}

}  // namespace pare
