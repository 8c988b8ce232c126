// The folder that a compression writes.
#include "compress/resume/output.h"

#include <sys/resource.h>

#include <csignal>
#include <fstream>

#include "base/mapped_file.h"
#include "checkpoint/load.h"
#include "checkpoint/save.h"
#include "compress/calibrated.h"
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
