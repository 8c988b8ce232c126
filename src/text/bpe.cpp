#include "text/bpe.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace pare {
namespace {

// Queue entries order by rank, then position.
uint64_t entry_of(uint32_t rank, int32_t position) {
  return static_cast<uint64_t>(rank) << 32 | static_cast<uint32_t>(position);
}

}  // namespace

Bpe::Bpe(std::array<int32_t, 256> byte_ids, MergeTable merges, std::optional<int32_t> unknown,
         bool fuse_unknown)
    : byte_ids_(byte_ids), merges_(std::move(merges)), unknown_(unknown), fuse_unknown_(fuse_unknown) {}

void Bpe::read_symbols(std::string_view word, std::vector<Scratch::Symbol>& symbols) const {
  symbols.clear();
  bool after_unknown = false;
  for (const char c : word) {
    int32_t id = byte_ids_[static_cast<uint8_t>(c)];
    const bool is_unknown = id < 0;
    if (is_unknown) {
      if (!unknown_ || (after_unknown && fuse_unknown_)) continue;
      id = *unknown_;
    }
    after_unknown = is_unknown;
    const auto index = static_cast<int32_t>(symbols.size());
    symbols.push_back({id, index - 1, index + 1, {}});
  }
  if (!symbols.empty()) symbols.back().next = -1;
}

void Bpe::encode(std::string_view word, const std::vector<bool>* banned, Scratch& scratch,
                 std::vector<int32_t>& ids) const {
  auto& symbols = scratch.symbols;
  auto& queue = scratch.queue;
  read_symbols(word, symbols);
  queue.clear();
  if (symbols.empty()) return;

  const auto look_up = [&](int32_t position) {
    Scratch::Symbol& symbol = symbols[position];
    symbol.merge = symbol.next < 0 ? Merge{} : merges_.find(symbol.id, symbols[symbol.next].id);
    if (symbol.merge.rank != Merge::kNone && banned != nullptr && (*banned)[symbol.merge.id])
      symbol.merge = {};
    return symbol.merge.rank != Merge::kNone;
  };
  const auto look_up_and_push = [&](int32_t position) {
    if (!look_up(position)) return;
    queue.push_back(entry_of(symbols[position].merge.rank, position));
    std::push_heap(queue.begin(), queue.end(), std::greater<>());
  };

  for (int32_t i = 0; i < static_cast<int32_t>(symbols.size()); ++i)
    if (look_up(i)) queue.push_back(entry_of(symbols[i].merge.rank, i));
  std::make_heap(queue.begin(), queue.end(), std::greater<>());

  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end(), std::greater<>());
    const uint64_t entry = queue.back();
    queue.pop_back();
    const auto position = static_cast<int32_t>(entry & UINT32_MAX);
    Scratch::Symbol& symbol = symbols[position];
    if (symbol.merge.rank != entry >> 32) continue;  // the pair is no longer there

    Scratch::Symbol& right = symbols[symbol.next];
    right.merge = {};
    symbol.id = symbol.merge.id;
    symbol.next = right.next;
    if (symbol.next >= 0) symbols[symbol.next].previous = position;
    look_up_and_push(position);
    if (symbol.previous >= 0) look_up_and_push(symbol.previous);
  }
  for (int32_t i = 0; i >= 0; i = symbols[i].next) ids.push_back(symbols[i].id);
}

}  // namespace pare
