// Buffers that are kept for reuse.
#include "base/aligned_buffer.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <utility>

namespace pare {
namespace {

constexpr size_t kSize = size_t{1} << 20;

TEST(AlignedBuffer, IsAlignedAndMoves) {
  AlignedBuffer<float> buffer(100);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
  buffer[99] = 3.0f;
  const AlignedBuffer<float> moved = std::move(buffer);
  EXPECT_EQ(moved[99], 3.0f);
  EXPECT_EQ(AlignedBuffer<float>(0).data(), nullptr);
  EXPECT_THROW(AlignedBuffer<double>(size_t{1} << 62), std::bad_alloc);
}

TEST(BufferReuse, GivesABufferToTheNextOfItsSize) {
  const BufferReuse reuse(4 * kSize);
  const void* first = AlignedBuffer<char>(kSize).data();
  EXPECT_NE(AlignedBuffer<char>(2 * kSize).data(), first);
  EXPECT_NE(AlignedBuffer<char>(kSize / 2).data(), first);
  const AlignedBuffer<char> again(kSize);
  EXPECT_EQ(again.data(), first);
  EXPECT_NE(AlignedBuffer<char>(kSize).data(), first);
}

TEST(BufferReuse, GivesABufferToOneOfNearlyItsSize) {
  const BufferReuse reuse(4 * kSize);
  const void* first = AlignedBuffer<char>(kSize + 64).data();
  AlignedBuffer<char> larger(kSize + kSize / 8);
  EXPECT_EQ(larger.data(), first);
  larger[kSize + kSize / 8 - 1] = 1;
}

// The third makes one go: the first, not the largest.
TEST(BufferReuse, KeepsWhatWasGivenBackLast) {
  const BufferReuse reuse(3 * kSize);
  AlignedBuffer<char> first(kSize);
  AlignedBuffer<char> large(2 * kSize);
  AlignedBuffer<char> last(kSize);
  const void* kept = large.data();
  first = {};
  large = {};
  last = {};
  // Takes the place of the large one, had that been freed.
  const std::unique_ptr<void, decltype(&std::free)> other(std::aligned_alloc(64, 2 * kSize), &std::free);
  EXPECT_EQ(AlignedBuffer<char>(2 * kSize).data(), kept);
}

// Two of three buffers fit: the third takes the place of one.
TEST(BufferReuse, KeepsNoMoreThanItMay) {
  const BufferReuse reuse(2 * kSize);
  for (int round = 0; round < 3; ++round) {
    const AlignedBuffer<char> a(kSize);
    const AlignedBuffer<char> b(kSize);
    const AlignedBuffer<char> c(kSize);
    EXPECT_NE(a.data(), b.data());
    EXPECT_NE(b.data(), c.data());
  }
  AlignedBuffer<char> larger(3 * kSize);
  larger[3 * kSize - 1] = 1;
}

TEST(BufferReuse, EndsWithItsScope) {
  {
    const BufferReuse reuse(kSize);
    AlignedBuffer<char> buffer(kSize);
  }
  AlignedBuffer<char> buffer(kSize);
  buffer[kSize - 1] = 1;
  EXPECT_EQ(buffer[kSize - 1], 1);
}

}  // namespace
}  // namespace pare
