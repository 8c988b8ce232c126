#include "runtime/speed.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

#include "base/rng.h"
#include "base/seconds.h"
#include "runtime/forward.h"

namespace pare {
namespace {

void check_options(const SpeedOptions& o, const ModelConfig& config) {
  if (o.prefill < 1) fail(ErrorCode::kUsage, "`prefill` is {}, expected 1 or more", o.prefill);
  if (o.decode < 1) fail(ErrorCode::kUsage, "`decode` is {}, expected 1 or more", o.decode);
  if (o.depth < 0 || o.depth > o.prefill)
    fail(ErrorCode::kUsage, "`depth` is {}, expected 0..{} (`prefill`)", o.depth, o.prefill);
  if (o.prefill + o.decode > config.max_positions)
    fail(ErrorCode::kInvalid, "{} prefill and {} decode tokens exceed the model's context of {}", o.prefill,
         o.decode, config.max_positions);
}

const SpeedOptions& checked(const SpeedOptions& options, const ModelConfig& config) {
  check_options(options, config);
  return options;
}

class TimedLinear final : public PackedLinear {
 public:
  TimedLinear(std::unique_ptr<PackedLinear> linear, double& seconds)
      : PackedLinear(linear->out_features(), linear->in_features(), linear->kernel()),
        linear_(std::move(linear)),
        seconds_(seconds) {}

  void apply(const Activation& x, const Activation& y) const noexcept override { timed(x, y); }
  void apply(MatrixView<const float> x, MatrixView<float> y) const noexcept override { timed(x, y); }
  int64_t bytes() const override { return linear_->bytes(); }

 private:
  template <typename X, typename Y>
  void timed(const X& x, const Y& y) const noexcept {
    const auto start = std::chrono::steady_clock::now();
    linear_->apply(x, y);
    seconds_ += seconds_since(start);
  }

  std::unique_ptr<PackedLinear> linear_;
  double& seconds_;
};

}  // namespace

double median(std::vector<double> values) {
  PARE_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

LinearClock::LinearClock(PackedModel& model) {
  model.wrap_linears([&](std::unique_ptr<PackedLinear> linear) {
    return std::make_unique<TimedLinear>(std::move(linear), seconds_.emplace_back(0.0));
  });
}

std::vector<double> LinearClock::take() {
  std::vector<double> seconds;
  for (double& own : seconds_) seconds.push_back(std::exchange(own, 0.0));
  return seconds;
}

SpeedTest::SpeedTest(const PackedModel& model, const SpeedOptions& options, LinearClock* clock)
    : model_(model),
      clock_(clock),
      options_(checked(options, model.config)),
      cache_(model, options.prefill + options.decode) {
  Rng rng(1);
  for (int64_t t = 0; t < options.prefill + options.decode; ++t)
    tokens_.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(model.config.vocab_size))));
}

SpeedSample SpeedTest::run() {
  const auto linears = [&] {
    const std::vector<double> seconds = clock_ != nullptr ? clock_->take() : std::vector<double>();
    return std::accumulate(seconds.begin(), seconds.end(), 0.0);
  };
  linears();
  SpeedSample sample;
  sample.prefill_seconds = prefill();
  sample.prefill_linear_seconds = linears();
  sample.decode_seconds = decode();
  sample.decode_linear_seconds = linears();
  return sample;
}

double SpeedTest::prefill() {
  cache_.truncate(0);
  const std::span<const int32_t> tokens = tokens_;
  const auto start = std::chrono::steady_clock::now();
  const Activation hidden = forward(model_, tokens.first(static_cast<size_t>(options_.prefill)), cache_);
  logits_of(model_, hidden.rows_of(hidden.rows() - 1, 1));
  return seconds_since(start);
}

double SpeedTest::decode() {
  cache_.truncate(options_.depth);
  const std::span<const int32_t> tokens = tokens_;
  const auto start = std::chrono::steady_clock::now();
  for (int64_t t = 0; t < options_.decode; ++t)
    logits_of(model_, forward(model_, tokens.subspan(static_cast<size_t>(options_.prefill + t), 1), cache_));
  return seconds_since(start);
}

double SpeedTest::kv_bytes_per_token() const {
  const double per_position = static_cast<double>(cache_.bytes()) / static_cast<double>(cache_.capacity());
  const double mean_context =
      static_cast<double>(options_.depth) + static_cast<double>(options_.decode + 1) / 2;
  return per_position * mean_context;
}

}  // namespace pare
