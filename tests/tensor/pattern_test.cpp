#include "tensor/pattern.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace pare {
namespace {

TEST(Pattern, IsReadAndNamed) {
  EXPECT_EQ(parse_pattern("2:4"), k2of4);
  EXPECT_EQ(pattern_name(parse_pattern("16:32")), "16:32");
  EXPECT_EQ(pattern_name(kDense), "dense");
}

TEST(Pattern, RefusesWhatIsNotAPattern) {
  for (const char* text : {"", ":", "2", "2:", ":4", "4:4", "5:4", "0:4", "-1:4", "2:33", "2:4 ", "2:4:8",
                           "99999999999:4", "2.0:4"})
    EXPECT_PARE_ERROR(parse_pattern(text), ErrorCode::kUsage, text);
}

}  // namespace
}  // namespace pare
