#include "eval/loglikelihood.h"

#include <algorithm>

#include "eval/target_scorer.h"
#include "runtime/forward.h"

namespace pare {
namespace {

int64_t inputs(const ScoredSequence& sequence) { return static_cast<int64_t>(sequence.ids.size()) - 1; }

// Inputs that all sequences of a group begin with.
int64_t common_prefix(const SequenceGroup& group) {
  int64_t length = inputs(group.front());
  for (const ScoredSequence& sequence : group) {
    const auto end = sequence.ids.begin() + std::min(length, inputs(sequence));
    length = std::mismatch(sequence.ids.begin(), end, group.front().ids.begin()).first - sequence.ids.begin();
  }
  return length;
}

int64_t longest_input(const SequenceGroup& group) {
  int64_t length = 0;
  for (const ScoredSequence& sequence : group) length = std::max(length, inputs(sequence));
  return length;
}

// Groups whose caches are held together. First the common start of each group's sequences goes through the
// model, then the rest of the first sequence of each, of the second, …: each drops what the one before left
// in the cache. Nothing is padded, so the order of groups does not matter.
class GroupBatch {
 public:
  GroupBatch(const PackedModel& model, std::span<const SequenceGroup> groups,
             std::span<std::vector<Loglikelihood>> scores)
      : model_(model), groups_(groups), scores_(scores) {
    size_t rounds = 0;
    for (size_t g = 0; g < groups.size(); ++g) {
      caches_.emplace_back(model, longest_input(groups[g]));
      prefixes_.push_back(common_prefix(groups[g]));
      scores[g].assign(groups[g].size(), {});
      rounds = std::max(rounds, groups[g].size());
    }
    run_prefixes();
    for (size_t s = 0; s < rounds; ++s) run_round(s);
  }
  int64_t tokens() const { return tokens_; }

 private:
  // Inputs [begin, end) of a sequence that go through the model for the sequences [first, last) of the group.
  struct Piece {
    size_t group = 0;
    size_t first = 0;
    size_t last = 0;
    int64_t begin = 0;
    int64_t end = 0;
  };

  void run_prefixes() {
    std::vector<Piece> pieces;
    for (size_t g = 0; g < groups_.size(); ++g)
      if (prefixes_[g] > 0) pieces.push_back({g, 0, groups_[g].size(), 0, prefixes_[g]});
    run(pieces);
  }

  void run_round(size_t s) {
    std::vector<Piece> pieces;
    for (size_t g = 0; g < groups_.size(); ++g) {
      if (s >= groups_[g].size() || inputs(groups_[g][s]) == prefixes_[g]) continue;
      caches_[g].truncate(prefixes_[g]);
      pieces.push_back({g, s, s + 1, prefixes_[g], inputs(groups_[g][s])});
    }
    run(pieces);
  }

  // Runs parts of equal size, none larger than a chunk of a prefill.
  void run(std::span<const Piece> pieces) {
    int64_t total = 0;
    for (const Piece& piece : pieces) total += piece.end - piece.begin;
    tokens_ += total;
    const int64_t parts = (total + kPrefillChunk - 1) / kPrefillChunk;
    std::vector<Piece> part;
    int64_t filled = 0;  // tokens of this and all earlier parts
    for (int64_t p = 1; const Piece& piece : pieces) {
      for (int64_t begin = piece.begin; begin < piece.end;) {
        const int64_t room = total * p / parts - filled;
        const int64_t count = std::min(room, piece.end - begin);
        part.push_back({piece.group, piece.first, piece.last, begin, begin + count});
        begin += count;
        filled += count;
        if (filled < total * p / parts) continue;
        run_part(part);
        part.clear();
        ++p;
      }
    }
    PARE_CHECK(part.empty());
  }

  void run_part(std::span<const Piece> part) {
    std::vector<SequenceStep> steps;
    std::vector<Target> targets;
    int64_t row = 0;
    for (const Piece& piece : part) {
      const std::span ids(groups_[piece.group][piece.first].ids);
      steps.push_back(
          {ids.subspan(static_cast<size_t>(piece.begin), static_cast<size_t>(piece.end - piece.begin)),
           &caches_[piece.group]});
      for (int64_t position = piece.begin; position < piece.end; ++position, ++row)
        for (size_t s = piece.first; s < piece.last; ++s) {
          const ScoredSequence& sequence = groups_[piece.group][s];
          if (position >= inputs(sequence) - sequence.targets)
            targets.push_back(
                {row, sequence.ids[static_cast<size_t>(position) + 1], &scores_[piece.group][s]});
        }
    }
    const Activation hidden = forward_batch(model_, steps);
    score_targets(model_, hidden, targets);
  }

  const PackedModel& model_;
  std::span<const SequenceGroup> groups_;
  std::span<std::vector<Loglikelihood>> scores_;
  std::vector<KvCache> caches_;    // by group
  std::vector<int64_t> prefixes_;  // by group
  int64_t tokens_ = 0;
};

}  // namespace

GroupScores score_groups(const PackedModel& model, std::span<const SequenceGroup> groups,
                         const ScoreProgress& progress, int64_t cache_bytes) {
  GroupScores result;
  result.groups.resize(groups.size());
  const int64_t room = cache_bytes / std::max<int64_t>(1, KvCache(model, 1).bytes());
  for (size_t begin = 0; begin < groups.size();) {
    int64_t positions = longest_input(groups[begin]);
    size_t end = begin + 1;
    while (end < groups.size() && positions + longest_input(groups[end]) <= room)
      positions += longest_input(groups[end++]);
    const GroupBatch batch(model, groups.subspan(begin, end - begin),
                           std::span(result.groups).subspan(begin, end - begin));
    result.tokens += batch.tokens();
    begin = end;
    if (progress) progress(static_cast<int64_t>(begin), static_cast<int64_t>(groups.size()));
  }
  return result;
}

}  // namespace pare
