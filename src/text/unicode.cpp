#include "text/unicode.h"

#include <vector>

#include "text/code_point_table.h"

namespace pare {
namespace {

CodePointTable class_table() {
  std::vector<uint8_t> flat(CodePointTable::kCodePoints, 0);
  for (size_t i = 0; i < kCharRangeCount; ++i)
    for (uint32_t c = kCharRanges[i].first; c <= kCharRanges[i].last; ++c) flat[c] = kCharRanges[i].classes;
  return CodePointTable(flat);
}

}  // namespace

uint8_t char_classes(char32_t code) {
  static const CodePointTable table = class_table();
  return table[code];
}

}  // namespace pare
