// Models in several GGUF files.
#include <gtest/gtest.h>

#include <fstream>

#include "io/bytes.h"
#include "io/gguf.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace pare {
namespace {

using test::TempDir;

// Three tensors in three parts m-00001-of-00003.gguf and so on, as gguf-split writes them.
class GgufParts : public ::testing::Test {
 protected:
  void SetUp() override {
    for (uint16_t number = 0; number < 3; ++number) write(name(number), number, 3, 3, entries(number));
  }

  static std::string name(int number) { return fmt::format("m-{:05}-of-00003.gguf", number + 1); }

  static std::vector<GgufEntry> entries(int number) {
    if (number > 0) return {};
    return {{"general.architecture", std::string("llama")}, {"general.alignment", uint32_t{64}}};
  }

  void write(const std::string& file, uint16_t number, uint16_t count, int32_t tensors,
             std::vector<GgufEntry> metadata, const std::string& tensor = "") {
    metadata.push_back({"split.no", number});
    metadata.push_back({"split.count", count});
    metadata.push_back({"split.tensors.count", tensors});
    const std::vector<TensorPlan> plan = {
        {tensor.empty() ? fmt::format("t{}", number) : tensor, Encoding::kF32, {2 + number}}};
    std::filesystem::remove(dir_ / file);
    GgufWriter writer(dir_ / file, plan, metadata);
    const std::vector<float> values(static_cast<size_t>(2 + number), static_cast<float>(number));
    writer.write(plan[0].name, std::as_bytes(std::span(values)));
    writer.commit();
  }

  std::string slurp(const std::string& file) const {
    std::ifstream stream(dir_ / file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  TempDir dir_;
};

TEST_F(GgufParts, AreReadAsOneFile) {
  const GgufFile file = read_gguf(dir_ / name(0));
  ASSERT_EQ(file.order.size(), 3u);
  EXPECT_EQ(file.order[2].name, "t2");
  EXPECT_EQ(as_vector(file.tensors.at("t2"), 4), std::vector<float>(4, 2.0f));
  EXPECT_EQ(as_vector(file.tensors.at("t0"), 2), std::vector<float>(2, 0.0f));
  EXPECT_EQ(file.metadata.get_string("general.architecture"), "llama");
  EXPECT_EQ(file.metadata.find("split.count"), nullptr);
}

TEST_F(GgufParts, AnotherPartNamesTheFirst) {
  EXPECT_PARE_ERROR(read_gguf(dir_ / name(1)), ErrorCode::kInvalid, "part 2 of a model in 3 parts");
  EXPECT_PARE_ERROR(read_gguf(dir_ / name(1)), ErrorCode::kInvalid, name(0));
}

TEST_F(GgufParts, MissingOnesAreNamed) {
  std::filesystem::remove(dir_ / name(2));
  EXPECT_PARE_ERROR(read_gguf(dir_ / name(0)), ErrorCode::kNotFound, "part 3 of 3 is missing");
  EXPECT_PARE_ERROR(read_gguf(dir_ / name(0)), ErrorCode::kNotFound, name(2));
  std::filesystem::rename(dir_ / name(0), dir_ / "renamed.gguf");
  EXPECT_PARE_ERROR(read_gguf(dir_ / "renamed.gguf"), ErrorCode::kFormat, "\"-00001-of-00003.gguf\"");
}

TEST_F(GgufParts, MixedOnesAreNamed) {
  write(name(1), 2, 3, 3, {});
  EXPECT_PARE_ERROR(read_gguf(dir_ / name(0)), ErrorCode::kFormat, "part 3 of 3, expected part 2 of 3");
  write(name(1), 1, 3, 3, {{"general.architecture", std::string("other")}});
  EXPECT_PARE_ERROR(read_gguf(dir_ / name(0)), ErrorCode::kFormat, "part of another model");
  write(name(1), 1, 3, 4, {});
  EXPECT_PARE_ERROR(read_gguf(dir_ / name(0)), ErrorCode::kFormat, "\"split.tensors.count\" differs");
  write(name(1), 1, 3, 3, {}, "t0");
  EXPECT_PARE_ERROR(read_gguf(dir_ / name(0)), ErrorCode::kFormat, "\"t0\" is in an earlier part too");
  write(name(1), 5, 3, 3, {});
  EXPECT_PARE_ERROR(read_gguf(dir_ / name(1)), ErrorCode::kFormat, "the number is too large");
}

TEST_F(GgufParts, TensorsAreCounted) {
  for (uint16_t number = 0; number < 3; ++number) write(name(number), number, 3, 5, entries(number));
  EXPECT_PARE_ERROR(read_gguf(dir_ / name(0)), ErrorCode::kFormat, "hold 3 tensors, the first says 5");
}

TEST_F(GgufParts, JoinedOnesAreRecognised) {
  for (const auto& file : {std::string("joined.gguf"), std::string("x-00001-of-00003.gguf")}) {
    std::ofstream(dir_ / file, std::ios::binary) << slurp(name(0)) << slurp(name(1)) << slurp(name(2));
    EXPECT_PARE_ERROR(read_gguf(dir_ / file), ErrorCode::kFormat,
                      "parts of a model were joined into one file");
  }
}

TEST_F(GgufParts, OnePartIsAWholeFile) {
  write("single.gguf", 0, 1, 1, {});
  EXPECT_EQ(read_gguf(dir_ / "single.gguf").tensors.size(), 1u);
}

}  // namespace
}  // namespace pare
