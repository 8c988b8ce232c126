// Block encodings against what the Python package `gguf` makes of the same bytes
// (tools/goldens/make_encoding_goldens.py).
#include <gtest/gtest.h>

#include <cstring>

#include "io/gguf.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace pare {
namespace {

GgufFile golden() { return read_gguf(PARE_GOLDEN_DIR "/encodings/blocks.gguf"); }

bool same_bytes(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

class BlockEncodings : public ::testing::TestWithParam<const char*> {
 protected:
  const GgufFile file_ = golden();
  const TensorInfo& tensor(const std::string& suffix) const {
    return file_.tensors.at(std::string(GetParam()) + suffix);
  }
};

TEST_P(BlockEncodings, DecodeToTheBit) {
  const Weight weight = as_weight(tensor(".blocks"));
  EXPECT_EQ(encoding_info(weight.format.encoding).name, GetParam());
  const Matrix<float> values = decode(weight);
  EXPECT_TRUE(same_bytes(std::as_bytes(std::span(values.data(), static_cast<size_t>(values.size()))),
                         tensor(".values").bytes));
}

// Blocks stand alone: any of them decodes from where it begins.
TEST_P(BlockEncodings, DecodeRangesOfARow) {
  const Weight weight = as_weight(tensor(".blocks"));
  const EncodingInfo& info = encoding_info(weight.format.encoding);
  const Matrix<float> values = decode(weight);
  std::vector<float> part(static_cast<size_t>(info.block_values));
  for (int64_t block = 0; block < weight.cols / info.block_values; ++block) {
    decode_values(weight.format.encoding, weight.data + block * info.block_bytes, info.block_values,
                  part.data());
    EXPECT_TRUE(std::equal(part.begin(), part.end(), values.row(0) + block * info.block_values));
  }
}

TEST_P(BlockEncodings, RowsHoldWholeBlocks) {
  const Encoding encoding = tensor(".blocks").encoding;
  const EncodingInfo& info = encoding_info(encoding);
  EXPECT_EQ(row_bytes(encoding, 3 * info.block_values), 3 * info.block_bytes);
  EXPECT_PARE_ERROR(row_bytes(encoding, info.block_values / 2), ErrorCode::kFormat, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Types, BlockEncodings,
                         ::testing::Values("q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "iq4_nl", "q2_k", "q3_k",
                                           "q4_k", "q5_k", "q6_k", "iq4_xs", "mxfp4", "tq1_0", "tq2_0"));

class WrittenEncodings : public ::testing::TestWithParam<const char*> {};

TEST_P(WrittenEncodings, EncodeToTheBit) {
  const GgufFile file = golden();
  const TensorInfo& expected = file.tensors.at(std::string("source.") + GetParam());
  ASSERT_EQ(encoding_info(expected.encoding).name, GetParam());
  const test::TempDir folder;
  GgufWriter writer(folder / "x.gguf", {{"w", expected.encoding, expected.shape}}, {});
  writer.write("w", as_weight(file.tensors.at("source")));
  writer.commit();
  EXPECT_TRUE(same_bytes(read_gguf(folder / "x.gguf").tensors.at("w").bytes, expected.bytes));
}

INSTANTIATE_TEST_SUITE_P(Types, WrittenEncodings, ::testing::Values("q8_0", "q4_0"));

TEST(WrittenEncodings, OthersAreRefused) {
  const GgufFile file = golden();
  const test::TempDir folder;
  GgufWriter writer(folder / "x.gguf", {{"w", Encoding::kMXFP4, {12, 96}}}, {});
  EXPECT_PARE_ERROR(writer.write("w", as_weight(file.tensors.at("source"))), ErrorCode::kUnsupported,
                    "mxfp4");
}

}  // namespace
}  // namespace pare
