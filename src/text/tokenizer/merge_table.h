// The merges of a byte-pair encoding: (left id, right id) -> rank and merged id.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace pare {

struct Merge {
  static constexpr uint32_t kNone = UINT32_MAX;
  uint32_t rank = kNone;  // lower merges first
  int32_t id = -1;
};

// Open addressing at a load of at most one half.
class MergeTable {
 public:
  explicit MergeTable(size_t expected)
      : slots_(std::bit_ceil(2 * expected + 2)), shift_(64 - std::countr_zero(slots_.size())) {}

  // Inserts a merge; it replaces an earlier one of the same pair. At most `expected` insertions.
  void insert(int32_t left, int32_t right, Merge merge) {
    const uint64_t key = key_of(left, right);
    Slot& slot = slots_[find_slot(key)];
    slot = {key, merge};
  }

  // Returns rank kNone when the pair does not merge.
  Merge find(int32_t left, int32_t right) const { return slots_[find_slot(key_of(left, right))].merge; }

 private:
  static constexpr uint64_t kFree = UINT64_MAX;
  struct Slot {
    uint64_t key = kFree;
    Merge merge;
  };

  static uint64_t key_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }

  size_t find_slot(uint64_t key) const {
    size_t i = (key * 0x9e3779b97f4a7c15ull) >> shift_;
    while (slots_[i].key != key && slots_[i].key != kFree) i = (i + 1) & (slots_.size() - 1);
    return i;
  }

  std::vector<Slot> slots_;
  int shift_;
};

}  // namespace pare
