// The folder that a compression writes.
#include "compress/resume/output.h"

#include <sys/resource.h>

#include <csignal>
#include <fstream>

#include "base/mapped_file.h"
#include "checkpoint/load.h"
#include "checkpoint/save.h"
#include "compress/calibrated.h"
#include "compress/quantize/rounding_costs.h"
#include "model/visit.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace pare::test {
namespace {

namespace fs = std::filesystem;

const fs::path kTiny = PARE_GOLDEN_DIR "/tiny-model";

// The tiny model with one narrower layer.
Model cut_model() {
  Model model = load_model(kTiny);
  Stage& stage = model.blocks[1].stages[1];
  stage = cut_stream(stage, Matrix<double>::identity(128).view(), 100, 1e-3).stage;
  update_config(model);
  return model;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(WriteCompressed, FolderHoldsWhatLoadersNeedAndReadsBack) {
  const Model model = cut_model();
  const CalibrationSet set = random_calibration(1, 40, 384);
  for (const Encoding dtype : {Encoding::kF32, Encoding::kBF16, Encoding::kF16}) {
    const TempDir dir;
    Report report;
    report.recipe = {{"method", "test"}};
    OutputFolder output(dir / "out", kTiny);
    write_compressed(model, kTiny, output, {.dtype = dtype}, set, report);
    EXPECT_EQ(names_in(dir.path()), (std::vector<std::string>{"out"}));
    const auto names = names_in(dir / "out");
    for (const char* name : {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
                             "generation_config.json", "pare.json"})
      EXPECT_THAT(names, testing::Contains(name));
    const Model reloaded = load_model(dir / "out");
    EXPECT_EQ(reloaded.embedding.format.encoding, dtype);
    EXPECT_EQ(reloaded.config.blocks, model.config.blocks);
    // bf16 keeps 8 bits: weights move by up to 2^-9, and logits by a few of those.
    const double tolerance = dtype == Encoding::kF32 ? 1e-6 : dtype == Encoding::kF16 ? 4e-3 : 3e-2;
    EXPECT_LT(logit_difference(model, reloaded, set), tolerance);
    EXPECT_EQ(report.after.parameters, model_size(model).parameters);
    EXPECT_EQ(report.after.bytes, model_size(reloaded).bytes);
    ASSERT_EQ(report.checks.size(), 1u);
    EXPECT_EQ(report.checks[0].name, "read back");
    const Json manifest = parse_json(read_file(dir / "out/pare.json", 1 << 20), "pare.json");
    EXPECT_EQ(manifest, report.to_json());
    const std::vector<int32_t> ids = load_tokenizer(kTiny).encode("Mira and the tide");
    EXPECT_EQ(load_tokenizer(dir / "out").encode("Mira and the tide"), ids);
  }
}

TEST(WriteCompressed, KeepsAPlainModelPlain) {
  const TempDir dir;
  const Model model = load_model(kTiny);
  OutputFolder output(dir / "out", kTiny);
  Report report;
  write_compressed(model, kTiny, output, {.dtype = Encoding::kBF16}, random_calibration(1, 40, 384), report);
  EXPECT_TRUE(is_plain(load_model(dir / "out")));
  EXPECT_EQ(read_file(dir / "out/model.safetensors", 1 << 24),
            read_file(kTiny / "model.safetensors", 1 << 24));
}

// All matrices whose rows divide into blocks of 32, in codes.
Model in_codes(Encoding encoding) {
  Model model = load_model(kTiny);
  for_each_tensor(
      model, [&](const TensorPlace&, Weight& weight) { weight = rounded_alone(weight, encoding, {}); },
      [](const TensorPlace&, std::vector<float>&) {});
  return model;
}

TEST(WriteCompressed, BytesAreKnownBefore) {
  const CalibrationSet set = random_calibration(1, 40, 384);
  const SaveOptions options = {.dtype = {}, .format = StorageFormat::kPacked};
  for (const Encoding encoding : {Encoding::kQ8_0, Encoding::kIQ4_NL}) {
    const Model model = in_codes(encoding);
    const TempDir dir;
    for (const char* name : {"out", "out.gguf"}) {
      const bool gguf = is_gguf_path(name);
      const int64_t planned = planned_bytes(model, kTiny, dir / name, options);
      OutputFolder output(dir / name, kTiny, Leftover::kRefuse,
                          gguf ? OutputKind::kFile : OutputKind::kFolder);
      Report report;
      write_compressed(model, kTiny, output, options, set, report, planned);
      const auto written =
          static_cast<int64_t>(fs::file_size(gguf ? dir / name : dir / name / "model.safetensors"));
      EXPECT_LE(written, planned);
      EXPECT_GE(written, planned - (gguf ? 30000 : 0));  // room for what the report will say
    }
    OutputFolder output(dir / "small", kTiny);
    Report report;
    const int64_t least = planned_bytes(model, kTiny, dir / "small", options);
    EXPECT_PARE_ERROR(write_compressed(model, kTiny, output, options, set, report, least - 1),
                      ErrorCode::kInvalid, fmt::format("{} bytes of weights were written", least));
  }
}

// Values that the type cannot hold are found before the folder gets its name.
TEST(WriteCompressed, RefusesATypeThatOverflows) {
  const TempDir dir;
  Model model = cut_model();
  Mlp& mlp = std::get<Mlp>(model.blocks[2].stages[1].branches[0]);
  Matrix<float> down = decode(mlp.down.weight);
  down(3, 4) = 1e6f;
  mlp.down.weight = Weight::from_matrix(std::as_const(down).view());
  {
    OutputFolder output(dir / "out", kTiny);
    Report report;
    EXPECT_PARE_ERROR(write_compressed(model, kTiny, output, {.dtype = Encoding::kF16},
                                       random_calibration(1, 8, 384), report),
                      ErrorCode::kNumeric, "layer 2 down hold a NaN or an infinity");
  }
  EXPECT_TRUE(fs::is_empty(dir.path()));
}

TEST(WriteCompressed, AFullDiskLeavesNothingBehind) {
  const Model model = cut_model();
  const TempDir dir;
  rlimit old_limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  // File sizes are limited: too small for the tokenizer, then for the weights.
  for (const rlim_t size : {4096u, 100000u}) {
    const rlimit small{size, old_limit.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    {
      OutputFolder output(dir / "out", kTiny);
      Report report;
      EXPECT_PARE_ERROR(write_compressed(model, kTiny, output, {.dtype = Encoding::kF32},
                                         random_calibration(1, 8, 384), report),
                        ErrorCode::kIo, "File too large");
    }
    setrlimit(RLIMIT_FSIZE, &old_limit);
    EXPECT_TRUE(fs::is_empty(dir.path())) << size;
  }
  std::signal(SIGXFSZ, old_handler);
}

TEST(WriteCompressed, RefusedFoldersStayAsTheyAre) {
  const TempDir dir;
  fs::create_directory(dir / "taken");
  dir.file("taken/mine", "x");
  EXPECT_PARE_ERROR(OutputFolder(dir / "taken", kTiny), ErrorCode::kInvalid, "not empty");
  EXPECT_PARE_ERROR(OutputFolder(kTiny, kTiny), ErrorCode::kInvalid, "is the input");
  EXPECT_PARE_ERROR(OutputFolder("/proc/out", kTiny), ErrorCode::kIo, "/proc/out");
  EXPECT_EQ(names_in(dir / "taken"), (std::vector<std::string>{"mine"}));
  EXPECT_EQ(names_in(dir.path()), (std::vector<std::string>{"taken"}));
}

}  // namespace
}  // namespace pare::test
