// A byte for every code point.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace pare {

// Two levels: most pages of 256 code points hold one value throughout and share a block.
class CodePointTable {
 public:
  static constexpr uint32_t kCodePoints = 0x110000;

  // flat: kCodePoints values.
  explicit CodePointTable(const std::vector<uint8_t>& flat) {
    for (uint32_t page = 0; page < pages_.size(); ++page) {
      Block block;
      std::copy_n(&flat[size_t{page} * kPageSize], kPageSize, block.begin());
      // Neighbouring pages are what repeats (ideographs, unassigned planes); a full search is not needed.
      if (blocks_.empty() || blocks_.back() != block) blocks_.push_back(block);
      pages_[page] = static_cast<uint16_t>(blocks_.size() - 1);
    }
  }

  // The value of a code point; 0 beyond U+10FFFF.
  uint8_t operator[](char32_t code) const {
    return code < kCodePoints ? blocks_[pages_[code / kPageSize]][code % kPageSize] : uint8_t{0};
  }

 private:
  static constexpr uint32_t kPageSize = 256;
  using Block = std::array<uint8_t, kPageSize>;
  std::array<uint16_t, kCodePoints / kPageSize> pages_{};
  std::vector<Block> blocks_;
};

}  // namespace pare
