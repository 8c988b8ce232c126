#include "tensor/weight.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "base/mapped_file.h"
#include "support/temp_dir.h"

namespace pare::test {
namespace {

TEST(Weight, FindsWhatIsNotFinite) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const Encoding encoding : {Encoding::kF32, Encoding::kF16, Encoding::kBF16}) {
    SCOPED_TRACE(encoding_info(encoding).name);
    Matrix<float> values(300, 7);  // more rows than one piece of the check
    std::fill_n(values.data(), values.size(), -65504.0f);
    EXPECT_TRUE(all_finite(Weight::from_matrix(values.view(), encoding)));
    for (const float bad : {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
      values(299, 6) = bad;
      EXPECT_FALSE(all_finite(Weight::from_matrix(values.view(), encoding))) << bad;
    }
  }
}

TEST(Weight, BlocksWithAnInfiniteScaleAreNotFinite) {
  Matrix<float> values = Matrix<float>::zeros(2, 32);
  values(1, 3) = 1.0f;
  const Weight good = Weight::from_matrix(values.view(), Encoding::kQ8_0);
  EXPECT_TRUE(all_finite(good));
  std::vector<std::byte> bytes(good.data, good.data + good.bytes());
  bytes[34] = std::byte{0x00};  // the scale of the second row: f16 infinity
  bytes[35] = std::byte{0x7c};
  Weight bad = good;
  bad.data = bytes.data();
  EXPECT_FALSE(all_finite(bad));
}

TEST(Weight, DecodesRowsOfAStack) {
  Matrix<float> first(2, 3);
  Matrix<float> second(1, 3);
  for (int64_t i = 0; i < 6; ++i) first.data()[i] = static_cast<float>(i);
  for (int64_t i = 0; i < 3; ++i) second.data()[i] = static_cast<float>(10 + i);
  const Weight stack[] = {Weight::from_matrix(first.view()),
                          Weight::from_matrix(second.view(), Encoding::kBF16)};
  EXPECT_EQ(stacked_rows(stack), 3);
  float row[3];
  decode_row(stack, 1, row);
  EXPECT_EQ(row[2], 5.0f);
  decode_row(stack, 2, row);
  EXPECT_EQ(row[0], 10.0f);
}

TEST(Weight, ReleasedPagesComeBack) {
  const TempDir folder;
  const auto path = folder / "weights";
  std::vector<float> values(10000);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * 4));
  const auto file = MappedFile::open(path);
  Weight mapped{Encoding::kF32, 100, 99, file->bytes().data() + 400, file, true};
  const Weight own = Weight::from_matrix(decode(mapped).view());
  release_pages(mapped);
  release_pages(own);  // not a mapping: nothing may happen to it
  for (int64_t r = 0; r < 100; ++r) {
    float a[99];
    float b[99];
    decode_row(mapped, r, a);
    decode_row(own, r, b);
    ASSERT_EQ(a[98], values[static_cast<size_t>(100 + r * 99 + 98)]);
    ASSERT_EQ(b[98], a[98]);
  }
}

}  // namespace
}  // namespace pare::test
