#include "text/unicode.h"

#include <algorithm>
#include <vector>

namespace pare {
namespace {

constexpr uint32_t kCodePoints = 0x110000;
constexpr uint32_t kPageSize = 256;

// Two levels: most pages of 256 code points are of one class throughout and share a block.
class ClassTable {
 public:
  ClassTable() {
    std::vector<uint8_t> flat(kCodePoints, 0);
    for (size_t i = 0; i < kCharRangeCount; ++i)
      for (uint32_t c = kCharRanges[i].first; c <= kCharRanges[i].last; ++c) flat[c] = kCharRanges[i].classes;
    for (uint32_t page = 0; page < pages_.size(); ++page) {
      Block block;
      std::copy_n(&flat[size_t{page} * kPageSize], kPageSize, block.begin());
      // Neighbouring pages are what repeats (ideographs, unassigned planes); a full search is not needed.
      if (blocks_.empty() || blocks_.back() != block) blocks_.push_back(block);
      pages_[page] = static_cast<uint16_t>(blocks_.size() - 1);
    }
  }

  uint8_t operator[](char32_t code) const {
    return code < kCodePoints ? blocks_[pages_[code / kPageSize]][code % kPageSize] : uint8_t{0};
  }

 private:
  using Block = std::array<uint8_t, kPageSize>;
  std::array<uint16_t, kCodePoints / kPageSize> pages_{};
  std::vector<Block> blocks_;
};

}  // namespace

uint8_t char_classes(char32_t code) {
  static const ClassTable table;
  return table[code];
}

}  // namespace pare
