// A whole compression through the library.
#include "compress/run/run.h"

#include "base/mapped_file.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace pare::test {
namespace {

namespace fs = std::filesystem;

CompressionOptions options_in(const fs::path& folder) {
  CompressionOptions options;
  options.model = PARE_GOLDEN_DIR "/tiny-model";
  options.out = (folder / "out").string();
  options.calib = {PARE_GOLDEN_DIR "/text/calibration.txt"};
  options.nsamples = 4;
  options.seqlen = 32;
  return options;
}

TEST(RunCompression, WritesAFolderAndReturnsItsManifest) {
  const TempDir folder;
  const CompressionOptions options = options_in(folder.path());
  std::vector<std::string> steps;
  bool resumable = false;
  const RunWatch watch = {
      .progress = [&](const std::string& step, int64_t, int64_t) { steps.push_back(step); },
      .resumable = [&] { resumable = steps.empty(); }};
  const CompressionResult result =
      run_compression(options, parse_recipe("sparsify:2:4:method=magnitude"), local_comm(), watch);
  EXPECT_EQ(result.manifest, parse_json(read_file(folder / "out/pare.json", 1 << 20), "pare.json"));
  EXPECT_EQ(result.report.of("sparsity").size(), 28u);
  EXPECT_EQ(result.manifest["errors"], Json::array());
  EXPECT_EQ(result.manifest["recipe"]["options"]["pattern"], "2:4");
  EXPECT_FALSE(result.was_finished);
  EXPECT_TRUE(resumable);
  EXPECT_FALSE(steps.empty());
  EXPECT_PARE_ERROR(run_compression(options, parse_recipe("sparsify"), local_comm()), ErrorCode::kInvalid,
                    "exists and is not empty");
}

TEST(RunCompression, CostIsKnownBeforeAndNothingIsWritten) {
  const TempDir folder;
  CompressionOptions options = options_in(folder.path());
  const Passes passes = parse_recipe("slice:0.1");
  const CompressionCost cost = cost_of_compression(options, passes, local_comm());
  EXPECT_GT(cost.needs.memory, 0);
  EXPECT_GT(cost.needs.disk, 0);
  EXPECT_GT(cost.seconds, 0.0);
  EXPECT_FALSE(cost.spills());
  EXPECT_TRUE(fs::is_empty(folder.path()));
  options.memory = cost.needs.memory - 1;
  EXPECT_PARE_ERROR(cost_of_compression(options, passes, local_comm()), ErrorCode::kInvalid, "(`memory`)");
  EXPECT_PARE_ERROR(run_compression(options, passes, local_comm()), ErrorCode::kInvalid, "(`memory`)");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(RunCompression, OptionsThatMakeNoSenseAreNamed) {
  const TempDir folder;
  const auto expect = [&](const CompressionOptions& options, const std::string& message) {
    EXPECT_PARE_ERROR(run_compression(options, parse_recipe("slice:0.1"), local_comm()), ErrorCode::kUsage,
                      message);
  };
  CompressionOptions options = options_in(folder.path());
  options.calib = {};
  expect(options, "`calib` names no source");
  options.calib = {"self", "self"};
  expect(options, "`calib` names a source twice");
  options = options_in(folder.path());
  options.dtype = Encoding::kInt8;
  expect(options, "`dtype int8` needs `format packed`");
  options = options_in(folder.path());
  options.format = StorageFormat::kSparse24Bitmask;
  expect(options, "`format sparse-24-bitmask` needs");
}

}  // namespace
}  // namespace pare::test
