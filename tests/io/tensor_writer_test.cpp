#include "io/tensor_writer.h"

#include <sys/resource.h>

#include <csignal>

#include "base/bf16.h"
#include "io/bytes.h"
#include "io/safetensors.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace pare {
namespace {

using test::as_bytes;
using test::TempDir;

const std::vector<TensorPlan> kPlan = {{"a", Encoding::kF32, {2}}, {"b", Encoding::kF32, {1, 2}}};

TEST(TensorWriter, EnforcesThePlan) {
  const TempDir dir;
  SafetensorsWriter writer(dir / "m", kPlan);
  const std::string eight(8, '\0');
  EXPECT_PARE_ERROR(writer.write("b", as_bytes(eight)), ErrorCode::kInvalid,
                    "expected tensor \"a\", got \"b\"");
  EXPECT_PARE_ERROR(writer.write("a", as_bytes("1234")), ErrorCode::kInvalid, "4 bytes, the plan says 8");
  writer.write("a", as_bytes(eight));
  EXPECT_PARE_ERROR(writer.commit(), ErrorCode::kInvalid, "\"b\" was not written");
  const Matrix<float> tall = Matrix<float>::zeros(2, 1);
  EXPECT_PARE_ERROR(writer.write("b", Weight::from_matrix(tall.view())), ErrorCode::kInvalid,
                    "is (2, 1), the plan says (1, 2)");
  writer.write("b", as_bytes(eight));
  EXPECT_PARE_ERROR(writer.write("c", as_bytes(eight)), ErrorCode::kInvalid, "after the last");
  EXPECT_FALSE(std::filesystem::exists(dir / "m"));
  writer.commit();
  EXPECT_TRUE(std::filesystem::exists(dir / "m"));
}

TEST(TensorWriter, AbandonedFileLeavesNothing) {
  const TempDir dir;
  { const SafetensorsWriter writer(dir / "m", kPlan); }
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

// More rows than one conversion chunk (2^20 values) holds.
TEST(TensorWriter, ConvertsWeightsInChunks) {
  const TempDir dir;
  Matrix<float> values(1030, 1024);
  for (int64_t i = 0; i < values.size(); ++i) values.data()[i] = static_cast<float>(i) * 0.37f - 1e5f;
  const Weight weight = Weight::from_matrix(values.view());
  SafetensorsWriter writer(dir / "m",
                           {{"w", Encoding::kBF16, {1030, 1024}}, {"v", Encoding::kF16, {1030 * 1024}}});
  writer.write("w", weight);
  writer.write("v", weight);
  writer.commit();
  const auto file = read_safetensors(dir / "m");
  const Matrix<float> read = decode(as_weight(file.tensors.at("w"), 1030, 1024));
  const std::vector<float> vector = as_vector(file.tensors.at("v"), 1030 * 1024);
  for (int64_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(read.data()[i], to_f32(to_bf16(values.data()[i]))) << i;
    ASSERT_EQ(vector[static_cast<size_t>(i)], to_f32(to_f16(values.data()[i]))) << i;
  }
}

TEST(TensorWriter, ReportsAFullDisk) {
  const TempDir dir;
  std::filesystem::create_symlink("/dev/full", dir / "m.tmp");
  EXPECT_PARE_ERROR(SafetensorsWriter(dir / "m", kPlan), ErrorCode::kIo, "No space left");
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(TensorWriter, ReportsAFileSizeLimitReachedHalfWay) {
  const TempDir dir;
  rlimit old_limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4096, old_limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string bytes(8192, 'x');
  {
    SafetensorsWriter writer(dir / "m", {{"w", Encoding::kF32, {2048}}});
    EXPECT_PARE_ERROR(writer.write("w", as_bytes(bytes)), ErrorCode::kIo, "File too large");
    EXPECT_PARE_ERROR(writer.commit(), ErrorCode::kInvalid, "\"w\" was not written");
  }
  setrlimit(RLIMIT_FSIZE, &old_limit);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

}  // namespace
}  // namespace pare
