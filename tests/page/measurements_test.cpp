#include "page/measurements.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/log.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace pare::test {
namespace {

using testing::HasSubstr;

// Files of measurements, and what reading them has warned of.
class MeasurementsTest : public testing::Test {
 protected:
  MeasurementsTest() {
    set_log_sink([this](LogLevel, std::string_view message) { warned_ += std::string(message) + "\n"; });
  }
  ~MeasurementsTest() override { set_log_sink({}); }

  std::string file(const std::string& content) {
    return folder_.file(fmt::format("{}.json", ++files_), content).string();
  }
  std::string eval(const std::string& rows, const std::string& sha = "aa") {
    return file(R"({"text": {"path": "/t/test.txt", "sha256": ")" + sha +
                R"(", "windows": 4, "seqlen": 64}, "dtype": "f32", "models": [)" + rows + "]}");
  }
  std::string bench(const std::string& rows, int threads = 2) {
    return file(
        fmt::format(R"({{"dtype": "stored", "threads": {}, "prefill": 128, "decode": 16, "depth": 128,)"
                    R"( "models": [{}]}})",
                    threads, rows));
  }
  static std::string speeds(const std::string& path, double decode) {
    return fmt::format(
        R"({{"path": "{}", "prefill_tokens_per_second": 300.0, "decode_tokens_per_second": {}}})", path,
        decode);
  }

  const std::vector<MeasuredModel> models_ = {{"out/dense", "dense", 200}, {"out/q4n/", "q4n", 50}};
  std::string warned_;

 private:
  TempDir folder_;
  int files_ = 0;
};

constexpr const char* kBoth =
    R"({"path": "out/dense", "bytes": 200, "kl": 0.0, "perplexity": 20.0},)"
    R"({"path": "./out/q4n", "bytes": 50, "kl": 0.1, "perplexity": 22.0, "top1": 0.8})";

TEST_F(MeasurementsTest, RowsAreMatchedByPath) {
  const Measurements found = read_measurements(
      models_, {eval(kBoth)}, {bench(speeds("out/q4n", 90.0) + "," + speeds("out/dense/", 40.0))});
  ASSERT_EQ(found.rows.size(), 2u);
  EXPECT_EQ(found.rows[0].kl, 0.0);
  EXPECT_EQ(found.rows[0].decode, 40.0);
  EXPECT_EQ(found.rows[1].name, "q4n");
  EXPECT_TRUE(found.rows[1].is_given);
  EXPECT_EQ(found.rows[1].bytes, 50);
  EXPECT_EQ(found.rows[1].kl, 0.1);
  EXPECT_EQ(found.rows[1].top1, 0.8);
  EXPECT_EQ(found.rows[1].decode, 90.0);
  EXPECT_EQ(found.rows[1].prefill, 300.0);
  EXPECT_EQ(found.baseline, "dense");
  EXPECT_THAT(found.quality, HasSubstr("test.txt: 4 windows of 64 tokens"));
  EXPECT_THAT(found.speed, HasSubstr("2 threads"));
  EXPECT_EQ(warned_, "");
}

TEST_F(MeasurementsTest, RowsAreMatchedByTheNameOfTheFile) {
  const Measurements found =
      read_measurements(models_, {eval(R"({"path": "/elsewhere/q4n", "bytes": 50, "kl": 0.1})")}, {});
  EXPECT_EQ(found.rows[1].kl, 0.1);
  EXPECT_EQ(found.rows.size(), 2u);
  const std::vector<MeasuredModel> twins = {{"a/m", "a/m", 5}, {"b/m", "b/m", 5}};
  EXPECT_PARE_ERROR(read_measurements(twins, {eval(R"({"path": "c/m", "bytes": 5, "kl": 0.1})")}, {}),
                    ErrorCode::kInvalid, "c/m may be a/m or b/m");
  EXPECT_EQ(read_measurements(twins, {eval(R"({"path": "b/m", "bytes": 5, "kl": 0.1})")}, {}).rows[1].kl,
            0.1);
}

TEST_F(MeasurementsTest, RowsOfNoneAreKeptAndNamed) {
  const std::string other = R"({"path": "x/other", "bytes": 70, "kl": 0.3})";
  const Measurements found =
      read_measurements(models_, {eval(std::string(kBoth) + "," + other)}, {bench(speeds("x/other", 10.0))});
  ASSERT_EQ(found.rows.size(), 3u);
  EXPECT_EQ(found.rows[2].name, "other");
  EXPECT_FALSE(found.rows[2].is_given);
  EXPECT_EQ(found.rows[2].bytes, 70);
  EXPECT_EQ(found.rows[2].decode, 10.0);
  EXPECT_THAT(warned_, HasSubstr("x/other is none of the models given"));
  EXPECT_THAT(warned_, HasSubstr("dense has no row in the files of `pare bench`"));
}

TEST_F(MeasurementsTest, RowsOfOtherProgramsAreExpected) {
  const std::string other = R"({"path": "q4n", "program": "llama.cpp", "bytes": 70, "kl": 0.3})";
  const Measurements found = read_measurements(models_, {eval(std::string(kBoth) + "," + other)}, {});
  ASSERT_EQ(found.rows.size(), 3u);
  EXPECT_EQ(found.rows[2].name, "q4n");
  EXPECT_EQ(found.rows[2].program, "llama.cpp");
  EXPECT_EQ(found.rows[1].kl, 0.1);
  EXPECT_EQ(warned_, "");
}

TEST_F(MeasurementsTest, FiguresThatAreMissingAreNamed) {
  read_measurements(models_, {eval(R"({"path": "out/q4n", "bytes": 50, "kl": 0.1})")}, {});
  EXPECT_THAT(warned_, HasSubstr("dense has no row in the files of `pare eval`"));
}

TEST_F(MeasurementsTest, FilesOfSomethingElseAreRefused) {
  const auto read_eval = [&](const std::string& name) { read_measurements(models_, {name}, {}); };
  EXPECT_PARE_ERROR(read_eval("/nowhere/eval.json"), ErrorCode::kNotFound, "/nowhere/eval.json");
  EXPECT_PARE_ERROR(read_eval(file("{")), ErrorCode::kFormat, "1.json");
  EXPECT_PARE_ERROR(read_eval(file("[]")), ErrorCode::kFormat, "it has no list \"models\"");
  EXPECT_PARE_ERROR(read_eval(file(R"({"models": 3})")), ErrorCode::kFormat, "it has no list \"models\"");
  EXPECT_PARE_ERROR(read_eval(file(R"({"models": ["a"]})")), ErrorCode::kFormat, "holds something else");
  EXPECT_PARE_ERROR(read_eval(eval(R"({"bytes": 50})")), ErrorCode::kFormat, "\"path\" is missing");
  // A file of the other command.
  EXPECT_PARE_ERROR(read_eval(bench(speeds("out/q4n", 3.0))), ErrorCode::kFormat, "\"bytes\" is missing");
  EXPECT_PARE_ERROR(read_measurements(models_, {}, {eval(kBoth)}), ErrorCode::kFormat,
                    "\"prefill_tokens_per_second\" is missing");
  EXPECT_PARE_ERROR(read_eval(eval(R"({"path": "out/q4n", "bytes": 50, "kl": NaN})")), ErrorCode::kInvalid,
                    "\"kl\" is nan");
  EXPECT_PARE_ERROR(read_eval(eval(R"({"path": "x", "bytes": 0})")), ErrorCode::kInvalid, "\"bytes\" is 0");
  EXPECT_PARE_ERROR(read_measurements(models_, {}, {bench(speeds("out/q4n", 0.0))}), ErrorCode::kInvalid,
                    "\"decode_tokens_per_second\" is 0");
}

TEST_F(MeasurementsTest, FiguresThatDoNotCompareAreRefused) {
  const auto read = [&](const std::vector<std::string>& evals, const std::vector<std::string>& benches) {
    read_measurements(models_, evals, benches);
  };
  const auto row = [&](const char* kl) {
    return fmt::format(R"({{"path": "out/q4n", "bytes": 50, "kl": {}}})", kl);
  };
  read({eval(row("0.1")), eval(row("0.1"))}, {});  // the same once more
  EXPECT_PARE_ERROR(read({eval(row("0.1")), eval(row("0.2"))}, {}), ErrorCode::kInvalid,
                    "\"kl\" is 0.2, another row of this model has 0.1");
  EXPECT_PARE_ERROR(read({eval(row("0.1")), eval(row("0.1"), "bb")}, {}), ErrorCode::kInvalid,
                    "do not compare: \"text\"");
  EXPECT_PARE_ERROR(read({}, {bench(speeds("out/q4n", 3.0)), bench(speeds("out/dense", 3.0), 1)}),
                    ErrorCode::kInvalid, "do not compare: \"threads\" is 2 and 1");
  EXPECT_PARE_ERROR(read({eval(R"({"path": "out/q4n", "bytes": 51, "kl": 0.1})")}, {}), ErrorCode::kInvalid,
                    "was measured with 51 bytes, but q4n has 50");
  EXPECT_PARE_ERROR(read({eval(R"({"path": "out/q4n", "bytes": 50, "kl": 0.0})"),
                          eval(R"({"path": "out/dense", "bytes": 200, "kl": 0.0})")},
                         {}),
                    ErrorCode::kInvalid, "KL is the distance from dense, in an earlier file from q4n");
}

}  // namespace
}  // namespace pare::test
