#include "base/gzip.h"

#include "support/expect_error.h"
#include "support/gzip.h"

namespace pare {
namespace {

const std::string kText = "In the forge under the hill lived a clever smith.\n";

TEST(Gzip, UnpacksAllMembers) {
  const std::string one = test::gzip(kText);
  EXPECT_TRUE(is_gzip(one));
  EXPECT_FALSE(is_gzip(kText));
  EXPECT_FALSE(is_gzip(""));
  EXPECT_EQ(gunzip(one, 1000, "f"), kText);
  EXPECT_EQ(gunzip(one + test::gzip("") + one, 1000, "f"), kText + kText);
  EXPECT_EQ(gunzip(one + std::string(700, '\0'), 1000, "f"), kText);  // tapes and disks pad with zeros
  std::string large;
  for (int i = 0; i < 20000; ++i) large += std::to_string(i * i);
  EXPECT_EQ(gunzip(test::gzip(large), large.size(), "f"), large);
}

TEST(Gzip, RefusesWhatIsNotWhole) {
  const std::string whole = test::gzip(kText + kText);
  for (size_t size = 2; size < whole.size(); ++size)
    EXPECT_PARE_ERROR(gunzip(whole.substr(0, size), 1000, "f"), ErrorCode::kFormat,
                      "f: the gzip data ends early");
  std::string damaged = whole;
  damaged[whole.size() - 5] = static_cast<char>(damaged[whole.size() - 5] ^ 1);
  EXPECT_PARE_ERROR(gunzip(damaged, 1000, "f"), ErrorCode::kFormat, "f: the gzip data is damaged");
  EXPECT_PARE_ERROR(gunzip(whole + "more", 1000, "f"), ErrorCode::kFormat, "f: 4 bytes that are not gzip");
}

TEST(Gzip, StopsAtTheLimit) {
  const std::string bomb = test::gzip(std::string(size_t{50} << 20, '\0'));
  EXPECT_LT(bomb.size(), 60000u);
  EXPECT_PARE_ERROR(gunzip(bomb, 1 << 20, "f"), ErrorCode::kFormat, "f unpacks to more than 1048576 bytes");
  EXPECT_EQ(gunzip(test::gzip(kText), kText.size(), "f"), kText);
  EXPECT_PARE_ERROR(gunzip(test::gzip(kText), kText.size() - 1, "f"), ErrorCode::kFormat, "unpacks to more");
}

}  // namespace
}  // namespace pare
