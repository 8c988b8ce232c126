#include "text/tokenizer/bpe.h"

#include <algorithm>
#include <functional>

namespace pare {
namespace {

// Queue entries order by rank, then position.
uint64_t entry_of(uint32_t rank, int32_t position) {
  return static_cast<uint64_t>(rank) << 32 | static_cast<uint32_t>(position);
}

}  // namespace

void Bpe::encode(const std::vector<bool>* banned, Scratch& scratch, std::vector<int32_t>& ids) const {
  auto& nodes = scratch.nodes;
  auto& queue = scratch.queue;
  nodes.clear();
  for (const int32_t id : scratch.symbols) {
    const auto index = static_cast<int32_t>(nodes.size());
    nodes.push_back({id, index - 1, index + 1, {}});
  }
  queue.clear();
  if (nodes.empty()) return;
  nodes.back().next = -1;

  const auto look_up = [&](int32_t position) {
    Scratch::Node& node = nodes[position];
    node.merge = node.next < 0 ? Merge{} : merges_.find(node.id, nodes[node.next].id);
    if (node.merge.rank != Merge::kNone && banned != nullptr && (*banned)[node.merge.id]) node.merge = {};
    return node.merge.rank != Merge::kNone;
  };
  const auto look_up_and_push = [&](int32_t position) {
    if (!look_up(position)) return;
    queue.push_back(entry_of(nodes[position].merge.rank, position));
    std::push_heap(queue.begin(), queue.end(), std::greater<>());
  };

  for (int32_t i = 0; i < static_cast<int32_t>(nodes.size()); ++i)
    if (look_up(i)) queue.push_back(entry_of(nodes[i].merge.rank, i));
  std::make_heap(queue.begin(), queue.end(), std::greater<>());

  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end(), std::greater<>());
    const uint64_t entry = queue.back();
    queue.pop_back();
    const auto position = static_cast<int32_t>(entry & UINT32_MAX);
    Scratch::Node& node = nodes[position];
    if (node.merge.rank != entry >> 32) continue;  // the pair of this entry is no longer there

    Scratch::Node& right = nodes[node.next];
    right.merge = {};
    node.id = node.merge.id;
    node.next = right.next;
    if (node.next >= 0) nodes[node.next].previous = position;
    look_up_and_push(position);
    if (node.previous >= 0) look_up_and_push(node.previous);
  }
  for (int32_t i = 0; i >= 0; i = nodes[i].next) ids.push_back(nodes[i].id);
}

}  // namespace pare
