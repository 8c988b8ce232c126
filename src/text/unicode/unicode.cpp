#include "text/unicode/unicode.h"

#include <algorithm>
#include <vector>

#include "text/unicode/char_set.h"
#include "text/unicode/code_point_table.h"

namespace pare {
namespace {

CodePointTable class_table() {
  std::vector<uint8_t> flat(CodePointTable::kCodePoints, 0);
  for (size_t i = 0; i < kPropertyTileCount; ++i) {
    const uint32_t end =
        i + 1 < kPropertyTileCount ? kPropertyTiles[i + 1].first : CodePointTable::kCodePoints;
    std::fill(flat.begin() + kPropertyTiles[i].first, flat.begin() + end,
              classes_of(kPropertyTiles[i].value));
  }
  return CodePointTable(flat);
}

}  // namespace

uint8_t char_classes(char32_t code) {
  static const CodePointTable table = class_table();
  return table[code];
}

}  // namespace pare
