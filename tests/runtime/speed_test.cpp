#include "runtime/speed.h"

#include "support/expect_error.h"
#include "support/tiny_model.h"

namespace pare {
namespace {

class SpeedTestTest : public testing::Test {
 protected:
  PackedModel model_{test::make_tiny_model(), ComputeType::kF32};
};

TEST_F(SpeedTestTest, CountsTheKeysAndValuesThatADecodeReads) {
  // Contexts of 7, 8, 9 and 10 tokens; 2 layers of 2 KV heads with 8 + 8 values of 4 bytes.
  const SpeedTest test(model_, {.prefill = 16, .decode = 4, .depth = 6});
  EXPECT_DOUBLE_EQ(test.kv_bytes_per_token(), 8.5 * 2 * 2 * 16 * 4);
  EXPECT_EQ(test.kv_cache_bytes(), 20 * 2 * 2 * 16 * 4);
}

TEST_F(SpeedTestTest, RunsAgainAndAgain) {
  SpeedTest test(model_, {.prefill = 16, .decode = 4, .depth = 0});
  for (int repeat = 0; repeat < 2; ++repeat) {
    const SpeedSample sample = test.run();
    EXPECT_GT(sample.prefill_seconds, 0.0);
    EXPECT_GT(sample.decode_seconds, 0.0);
    EXPECT_EQ(sample.prefill_linear_seconds, 0.0);
    EXPECT_EQ(sample.decode_linear_seconds, 0.0);
  }
  EXPECT_GT(read_bandwidth(1 << 20), 0.0);
}

TEST_F(SpeedTestTest, TellsWhatLinearsTake) {
  const int64_t bytes = model_.bytes_per_token();
  LinearClock clock(model_);
  EXPECT_EQ(model_.bytes_per_token(), bytes);
  SpeedTest test(model_, {.prefill = 16, .decode = 4, .depth = 0}, &clock);
  for (int repeat = 0; repeat < 2; ++repeat) {
    const SpeedSample sample = test.run();
    EXPECT_GT(sample.prefill_linear_seconds, 0.0);
    EXPECT_LT(sample.prefill_linear_seconds, sample.prefill_seconds);
    EXPECT_GT(sample.decode_linear_seconds, 0.0);
    EXPECT_LT(sample.decode_linear_seconds, sample.decode_seconds);
  }
  EXPECT_EQ(clock.take(), std::vector<double>(model_.linears().size(), 0.0));
  test.prefill();
  clock.take();
  const double seconds = test.decode();
  double sum = 0.0;
  for (const double of_one : clock.take()) {
    EXPECT_GT(of_one, 0.0);
    sum += of_one;
  }
  EXPECT_LT(sum, seconds);
}

TEST_F(SpeedTestTest, RefusesWhatDoesNotFit) {
  EXPECT_PARE_ERROR(SpeedTest(model_, {.prefill = 0}), ErrorCode::kUsage, "`prefill`");
  EXPECT_PARE_ERROR(SpeedTest(model_, {.prefill = 8, .decode = 0, .depth = 0}), ErrorCode::kUsage,
                    "`decode`");
  EXPECT_PARE_ERROR(SpeedTest(model_, {.prefill = 8, .decode = 1, .depth = 9}), ErrorCode::kUsage, "`depth`");
  EXPECT_PARE_ERROR(SpeedTest(model_, {.prefill = 128, .decode = 1, .depth = 0}), ErrorCode::kInvalid,
                    "context of 128");
}

}  // namespace
}  // namespace pare
