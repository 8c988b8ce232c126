// The loop that every block encoding decodes with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace pare::blocks {

// Calls decode(block, values) for the blocks of kValues values each that make up `cols` values; `source`
// needs no alignment.
template <int64_t kValues, typename Block, typename Decode>
void for_each_block(const std::byte* source, int64_t cols, float* out, Decode decode) {
  for (int64_t i = 0; i < cols; i += kValues, source += sizeof(Block)) {
    Block block;  // a copy that nothing aliases, so that the loops over it vectorise
    std::memcpy(&block, source, sizeof(Block));
    decode(block, out + i);
  }
}

}  // namespace pare::blocks
