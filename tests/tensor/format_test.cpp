// The one value that says how a matrix is stored, and its text.
#include "tensor/format.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace pare::test {
namespace {

TEST(WeightFormat, NamesAreReadBack) {
  for (const char* text :
       {"f32", "bf16", "q4_0", "int8", "int4", "2:4-bf16", "2:4-int8", "int4-g32", "int8-g64", "int4-z",
        "2:4-int4-g128-z", "1:32-f32", "int4-g32-bf16", "2:4-int4-z-f16"})
    EXPECT_EQ(format_name(parse_format(text)), text);
  EXPECT_EQ(parse_format("2:4-int4-g128-z"), WeightFormat(k2of4, Encoding::kInt4, 128, true));
  EXPECT_EQ(parse_format("6:8-int8-g32"), WeightFormat({6, 8}, Encoding::kInt8, 32));
  EXPECT_EQ(parse_format("bf16"), Encoding::kBF16);
  EXPECT_EQ(parse_format("int4-g64-f16").scale_type, Encoding::kF16);
  EXPECT_NE(parse_format("int4-g64-f16"), parse_format("int4-g64"));
  EXPECT_EQ(parse_format("2:4-int4-g64-f16").in(kDense), parse_format("int4-g64-f16"));
  EXPECT_EQ(WeightFormat(k2of4, Encoding::kInt4, 64).in(kDense), WeightFormat(kDense, Encoding::kInt4, 64));
}

TEST(WeightFormat, EveryOtherTextIsRefused) {
  for (const char* text : {"",
                           "-",
                           "int3",
                           "INT8",
                           " int8",
                           "int8 ",
                           "int4-g",
                           "int4-g16",
                           "int4-g256",
                           "int4-g032",
                           "int4-g-32",
                           "int4-g32-",
                           "int4-z-g32",
                           "int4-g32-g32",
                           "int4-z-z",
                           "2:4",
                           "2:4-",
                           "dense",
                           "dense-bf16",
                           "4:2-bf16",
                           "2:4-2:4-bf16",
                           "bf16-2:4",
                           "bf16-g32",
                           "bf16-z",
                           "int8-z",
                           "int8-g32-z",
                           "2:4-q8_0",
                           "q4_0-g32",
                           "u8",
                           "i64",
                           "i32",
                           "int4-f32",
                           "int4-q8_0",
                           "int8-bf16",
                           "int4-bf16-g32",
                           "bf16-f16",
                           "int4-bf16-bf16"}) {
    SCOPED_TRACE(text);
    EXPECT_PARE_ERROR(parse_format(text), ErrorCode::kUsage, "'");
  }
}

TEST(WeightFormat, CountsScales) {
  EXPECT_EQ(scales_of_row(Encoding::kBF16, 64), 0);
  EXPECT_EQ(scales_of_row(Encoding::kInt8, 63), 1);
  EXPECT_EQ(scales_of_row({k2of4, Encoding::kInt4, 32}, 96), 3);
}

TEST(WeightFormat, SaysWhyItDoesNotFit) {
  const auto reason = [](const char* text, int64_t cols) { return misfit(parse_format(text), cols); };
  EXPECT_EQ(reason("int8", 7), "");
  EXPECT_EQ(reason("2:4-int4-g32", 96), "");
  EXPECT_EQ(reason("2:4-bf16", 7), "cannot be 2:4: its rows of 7 values do not divide into groups of 4");
  EXPECT_EQ(reason("int4-g64", 96),
            "cannot be int4-g64: its rows of 96 values do not divide into groups of 64");
  EXPECT_EQ(reason("3:5-int8-g32", 160),
            "cannot be 3:5-int8-g32: groups of 32 columns do not divide into groups of 5");
  EXPECT_EQ(reason("int4", 7), "cannot be int4: the 7 stored values of a row do not divide into blocks of 2");
  EXPECT_EQ(reason("q4_0", 48),
            "cannot be q4_0: the 48 stored values of a row do not divide into blocks of 32");
}

}  // namespace
}  // namespace pare::test
