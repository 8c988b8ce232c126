// Remembers how frequent words were encoded, in a fixed number of slots: of the two that a word may have, the
// first goes to the word that was met again, the second to the latest.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace pare {

class WordCache {
 public:
  static constexpr size_t kMaxBytes = 32;
  static constexpr size_t kMaxIds = 6;

  struct alignas(64) Slot {
    std::array<uint64_t, kMaxBytes / 8> key{};  // the word's bytes, filled up with zeros
    uint32_t length = 0;                        // 0: free
    uint32_t count = 0;
    std::array<int32_t, kMaxIds> ids{};
    std::span<const int32_t> view() const { return {ids.data(), count}; }
  };

  // The slot where a word of 1 to kMaxBytes bytes is or would be; `found` says which.
  Slot& find(std::string_view word, bool& found) {
    if (slots_.empty()) slots_.resize(kSlots);
    std::array<uint64_t, kMaxBytes / 8> key{};
    std::memcpy(key.data(), word.data(), word.size());
    uint64_t hash = word.size();
    for (const uint64_t part : key) {
      hash = (hash ^ part) * 0x9e3779b97f4a7c15ull;
      hash ^= hash >> 32;
    }
    Slot* pair = &slots_[hash % kSlots & ~size_t{1}];
    const auto holds = [&](const Slot& slot) { return slot.length == word.size() && slot.key == key; };
    found = true;
    if (holds(pair[0])) return pair[0];
    if (holds(pair[1])) {
      std::swap(pair[0], pair[1]);
      return pair[0];
    }
    found = false;
    pair[1].key = key;
    pair[1].length = 0;
    return pair[1];
  }

  // Fills the slot that find() returned; what is too long is not kept.
  static void fill(Slot& slot, size_t length, std::span<const int32_t> ids) {
    if (ids.size() > kMaxIds) return;
    std::copy(ids.begin(), ids.end(), slot.ids.begin());
    slot.count = static_cast<uint32_t>(ids.size());
    slot.length = static_cast<uint32_t>(length);
  }

 private:
  static constexpr size_t kSlots = size_t{1} << 16;  // 4 MiB
  std::vector<Slot> slots_;
};

}  // namespace pare
