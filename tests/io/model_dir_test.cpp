#include "io/model_dir.h"

#include "base/json.h"
#include "base/log.h"
#include "io/bytes.h"
#include "io/foreign_files.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace pare {
namespace {

using test::slurp;
using test::TempDir;

const std::vector<TensorPlan> kPlan = {
    {"embed", Encoding::kF32, {4, 2}}, {"norm", Encoding::kF32, {3}}, {"proj", Encoding::kBF16, {2, 2}}};

// Values that tell the tensors apart.
Weight produce(const TensorPlan& plan) {
  const int64_t cols = plan.shape.back();
  const int64_t rows = plan.shape.size() == 2 ? plan.shape[0] : 1;
  Matrix<float> values(rows, cols);
  for (int64_t i = 0; i < values.size(); ++i)
    values.data()[i] = static_cast<float>(i) + (plan.name == "norm" ? 8 : 0);
  return Weight::from_matrix(values.view());
}

void expect_model(const ModelTensors& model) {
  ASSERT_EQ(model.tensors.size(), 3u);
  EXPECT_EQ(decode(as_weight(model.tensors.at("embed"), 4, 2))(3, 1), 7.0f);
  EXPECT_EQ(as_vector(model.tensors.at("norm"), 3), (std::vector<float>{8, 9, 10}));
  EXPECT_EQ(model.tensors.at("proj").encoding, Encoding::kBF16);
}

TEST(ModelDir, SmallModelIsOneFile) {
  const TempDir dir;
  write_model_tensors(dir.path(), kPlan, produce);
  expect_model(read_model_tensors(dir.path()));
  EXPECT_TRUE(std::filesystem::exists(dir / "model.safetensors"));
  EXPECT_EQ(read_safetensors(dir / "model.safetensors").metadata, (SafetensorsMetadata{{"format", "pt"}}));
  EXPECT_PARE_ERROR(write_model_tensors(dir.path(), kPlan, produce), ErrorCode::kInvalid, "already holds");
}

TEST(ModelDir, LargeModelIsShardedWithAnIndex) {
  const TempDir dir;
  write_model_tensors(dir.path(), kPlan, produce, 20);  // 32 | 12 + 8 bytes
  EXPECT_FALSE(std::filesystem::exists(dir / "model.safetensors"));
  EXPECT_EQ(slurp(dir / "model.safetensors.index.json"), R"({
  "metadata": {
    "total_size": 52
  },
  "weight_map": {
    "embed": "model-00001-of-00002.safetensors",
    "norm": "model-00002-of-00002.safetensors",
    "proj": "model-00002-of-00002.safetensors"
  }
}
)");
  expect_model(read_model_tensors(dir.path()));
}

TEST(ModelDir, ExplainsWhatIsMissing) {
  const TempDir dir;
  EXPECT_PARE_ERROR(read_model_tensors(dir / "none"), ErrorCode::kNotFound, "does not exist");
  EXPECT_PARE_ERROR(read_model_tensors(dir.path()), ErrorCode::kNotFound, "holds no weights");
  EXPECT_PARE_ERROR(read_model_tensors(dir.file("config.json", "{}")), ErrorCode::kInvalid, "not a folder");
  dir.file("pytorch_model.bin", "x");
  EXPECT_PARE_ERROR(read_model_tensors(dir.path()), ErrorCode::kUnsupported, "reads only safetensors");
  dir.file("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
  EXPECT_PARE_ERROR(read_model_tensors(dir.path()), ErrorCode::kFormat, "git lfs pull");
}

TEST(ModelDir, WeightsOfOtherProgramsAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"pytorch_model-00001-of-00002.bin",
       "holds only PyTorch weights (pytorch_model-00001-of-00002.bin): pare reads"},
      {"model.pt", "holds only PyTorch weights (model.pt): pare reads only safetensors and GGUF"},
      {"tf_model.h5", "holds only TensorFlow weights (tf_model.h5): pare reads only safetensors and GGUF "},
      {"saved_model.pb", "TensorFlow weights (saved_model.pb)"},
      {"flax_model.msgpack", "holds only Flax weights (flax_model.msgpack): pare reads only"},
      {"model.onnx", "holds only ONNX files (model.onnx): a program made for running"},
      {"model.torchscript", "TorchScript or ExecuTorch files (model.torchscript)"},
      {"openvino_model.bin", "OpenVINO files"},
      {"model.tflite", "TensorFlow Lite files (model.tflite)"},
      {"Model.mlpackage", "Core ML files (Model.mlpackage)"},
      {"rank0.engine", "TensorRT files (rank0.engine)"},
      {"rust_model.ot", "weights of Rust's tch (rust_model.ot)"}};
  for (const auto& [name, message] : cases) {
    SCOPED_TRACE(name);
    const TempDir dir;
    dir.file("config.json", "{}");
    dir.file("training_args.bin", "x");
    EXPECT_PARE_ERROR(read_model_tensors(dir.path()), ErrorCode::kNotFound, "holds no weights");
    dir.file(name, "x");
    EXPECT_PARE_ERROR(read_model_tensors(dir.path()), ErrorCode::kUnsupported, message);
  }
  const TempDir onnx;
  std::filesystem::create_directory(onnx / "onnx");
  EXPECT_PARE_ERROR(read_model_tensors(onnx.path()), ErrorCode::kUnsupported, "ONNX files (in onnx)");
  EXPECT_THAT(describe_foreign_file(onnx / "model.onnx"), testing::StartsWith("holds ONNX files: a program"));
  // Weights that can be saved again are named before programs made of them.
  std::filesystem::create_directory(onnx / "model.onnx");
  onnx.file("tf_model.h5", "x");
  EXPECT_PARE_ERROR(read_model_tensors(onnx.path()), ErrorCode::kUnsupported, "TensorFlow weights");
}

TEST(ModelDir, ShardsWithoutAnIndex) {
  const TempDir dir;
  write_model_tensors(dir.path(), kPlan, produce, 20);
  std::filesystem::remove(dir / "model.safetensors.index.json");
  expect_model(read_model_tensors(dir.path()));
  std::filesystem::copy(dir / "model-00001-of-00002.safetensors", dir / "model-00001-of-00003.safetensors");
  EXPECT_PARE_ERROR(read_model_tensors(dir.path()), ErrorCode::kFormat, "more than one set");
  std::filesystem::remove(dir / "model-00001-of-00003.safetensors");
  std::filesystem::copy(dir / "model-00001-of-00002.safetensors", dir / "copy");
  std::filesystem::rename(dir / "copy", dir / "model-00002-of-00002.safetensors");
  EXPECT_PARE_ERROR(read_model_tensors(dir.path()), ErrorCode::kFormat, "is in another shard too");
  std::filesystem::remove(dir / "model-00001-of-00002.safetensors");
  EXPECT_PARE_ERROR(read_model_tensors(dir.path()), ErrorCode::kNotFound,
                    "model-00001-of-00002.safetensors is missing: the folder holds 1 of 2 shards");
}

TEST(ModelDir, ShardsBesideAWholeModelAreNotRead) {
  const TempDir dir;
  std::string warning;
  set_log_sink([&](LogLevel, std::string_view message) { warning += message; });
  write_model_tensors(dir.path(), kPlan, produce, 20);
  read_model_tensors(dir.path());
  EXPECT_EQ(warning, "");
  const TempDir whole;
  write_model_tensors(whole.path(), kPlan, produce);
  std::filesystem::copy(whole / "model.safetensors", dir / "model.safetensors");
  expect_model(read_model_tensors(dir.path()));
  set_log_sink({});
  EXPECT_EQ(warning,
            dir.path().string() + " holds shards beside model.safetensors, which is read: they are not");
}

TEST(ModelDir, PointersInPlaceOfAnIndex) {
  const TempDir dir;
  dir.file("model.safetensors.index.json",
           "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
  EXPECT_PARE_ERROR(read_model_tensors(dir.path()), ErrorCode::kFormat, "index.json is a Git LFS pointer");
}

class ShardedModelDir : public testing::Test {
 protected:
  ShardedModelDir() { write_model_tensors(dir_.path(), kPlan, produce, 20); }
  void write_map(const std::string& weight_map) {
    dir_.file("model.safetensors.index.json", "{\"weight_map\":" + weight_map + "}");
  }
  ModelTensors read() { return read_model_tensors(dir_.path()); }

  TempDir dir_;
};

TEST_F(ShardedModelDir, RejectsBrokenIndexes) {
  dir_.file("model.safetensors.index.json", "[]");
  EXPECT_PARE_ERROR(read(), ErrorCode::kFormat, "weight_map");
  dir_.file("model.safetensors.index.json", "{}");
  EXPECT_PARE_ERROR(read(), ErrorCode::kFormat, "weight_map");
  write_map("{}");
  EXPECT_PARE_ERROR(read(), ErrorCode::kFormat, "weight_map");
  write_map(R"({"norm":1})");
  EXPECT_PARE_ERROR(read(), ErrorCode::kFormat, "the shard of tensor \"norm\" is not a string");
  write_map(R"({"a\nb":"model-00002-of-00002.safetensors"})");
  EXPECT_PARE_ERROR(read(), ErrorCode::kFormat, "control character");
}

TEST_F(ShardedModelDir, RejectsShardsOutsideTheFolder) {
  const auto inner = dir_ / "inner";
  std::filesystem::create_directory(inner);
  const std::string shard = "model-00002-of-00002.safetensors";
  for (const std::string& name :
       {"../" + shard, (dir_ / shard).string(), std::string(".."), "inner/../" + shard}) {
    std::ofstream(inner / "model.safetensors.index.json") << R"({"weight_map":{"norm":")" << name << "\"}}";
    EXPECT_PARE_ERROR(read_model_tensors(inner), ErrorCode::kFormat, "not a plain file name");
  }
}

TEST_F(ShardedModelDir, RejectsAMissingShardOrTensor) {
  write_map(R"({"norm":"model-00002-of-00002.safetensors","x":"model-00002-of-00002.safetensors"})");
  EXPECT_PARE_ERROR(read(), ErrorCode::kNotFound, "tensor \"x\" is not there");
  write_map(R"({"norm":"model-00001-of-00002.safetensors"})");
  EXPECT_PARE_ERROR(read(), ErrorCode::kNotFound, "tensor \"norm\" is not there");
  write_map(R"({"norm":"model-00003-of-00003.safetensors"})");
  EXPECT_PARE_ERROR(read(), ErrorCode::kNotFound, "model-00003-of-00003.safetensors is missing");
}

TEST_F(ShardedModelDir, LeavesOutTensorsThatTheIndexDoesNotName) {
  write_map(R"({"norm":"model-00002-of-00002.safetensors"})");
  std::string warning;
  set_log_sink([&](LogLevel, std::string_view message) { warning = message; });
  const ModelTensors model = read();
  set_log_sink({});
  EXPECT_EQ(model.tensors.size(), 1u);
  EXPECT_THAT(warning, testing::HasSubstr("tensor \"proj\" is not in the index"));
}

TEST(ModelDir, ChecksTheFreeSpaceFirst) {
  const TempDir dir;
  const std::vector<TensorPlan> huge = {{"w", Encoding::kF32, {int64_t{1} << 40, 1 << 16}}};  // 2^58 bytes
  EXPECT_PARE_ERROR(write_model_tensors(dir.path(), huge, produce), ErrorCode::kIo, "GB are free");
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(ModelDir, ProducerFailureLeavesNoModel) {
  const TempDir dir;
  const auto failing = [](const TensorPlan& plan) -> Weight {
    if (plan.name == "proj") fail(ErrorCode::kNumeric, "NaN in proj");
    return produce(plan);
  };
  EXPECT_PARE_ERROR(write_model_tensors(dir.path(), kPlan, failing), ErrorCode::kNumeric, "NaN in proj");
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
  EXPECT_PARE_ERROR(write_model_tensors(dir.path(), kPlan, failing, 20), ErrorCode::kNumeric, "NaN in proj");
  EXPECT_FALSE(std::filesystem::exists(dir / "model.safetensors.index.json"));
}

}  // namespace
}  // namespace pare
