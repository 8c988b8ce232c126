// Packing of the 2:4 formats, one way for every instruction set.
#include <cstring>

#include "base/bf16.h"
#include "base/error.h"
#include "kernels/cpu/panel.h"

namespace pare {
namespace {

constexpr int64_t kGroupsOfBlock = 8;
constexpr uint32_t kTooMany = 0xff;

// Columns of two kept values, by which of the four values differ from zero: the lower in bits 0-1, the
// higher in bits 2-3. Fewer than two are filled up with a zero.
constexpr uint32_t kPlaces[16] = {0x4, 0x4, 0x9, 0x4,      0xe, 0x8,      0x9,      kTooMany,
                                  0xe, 0xc, 0xd, kTooMany, 0xe, kTooMany, kTooMany, kTooMany};

uint32_t places_of(const float* group) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < kGroup; ++i) kept |= static_cast<uint32_t>(group[i] != 0.0f) << i;
  const uint32_t places = kPlaces[kept];
  PARE_CHECK(places != kTooMany);
  return places;
}

// `store(values, group, lower, higher)` puts two kept values of group 0..7 of a block into the lane at
// `values`.
template <typename Store>
void pack(const float* rows, int64_t columns, int64_t block_bytes, unsigned char* panel, Store store) {
  for (int64_t k = 0; k < columns; k += kGroupsOfBlock * kGroup, panel += block_bytes)
    for (int64_t lane = 0; lane < kPanelRows; ++lane) {
      const float* group = rows + lane * columns + k;
      uint32_t all_places = 0;
      for (int64_t g = 0; g < kGroupsOfBlock; ++g, group += kGroup) {
        const uint32_t places = places_of(group);
        all_places |= places << (4 * g);
        store(panel + kStepBytes + 4 * lane, g, group[places & 3], group[places >> 2]);
      }
      std::memcpy(panel + 4 * lane, &all_places, sizeof(all_places));
    }
}

}  // namespace

void pack_bf16_of4(float* rows, int64_t columns, unsigned char* panel) {
  pack(rows, columns, panel_block(PanelFormat::kBF16Of4).bytes, panel,
       [](unsigned char* values, int64_t g, float lower, float higher) {
         const bf16 pair[2] = {to_bf16(lower), to_bf16(higher)};
         std::memcpy(values + g * kStepBytes, pair, sizeof(pair));
       });
}

void pack_int8_of4(float* rows, int64_t columns, unsigned char* panel) {
  pack(rows, columns, panel_block(PanelFormat::kInt8Of4).bytes, panel,
       [](unsigned char* values, int64_t g, float lower, float higher) {
         const int8_t pair[2] = {static_cast<int8_t>(lower), static_cast<int8_t>(higher)};
         std::memcpy(values + g / 2 * kStepBytes + g % 2 * 2, pair, sizeof(pair));
       });
}

}  // namespace pare
