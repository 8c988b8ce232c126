#include "compress/calibrate/wanted_output.h"

#include "compress/solve/gram.h"

namespace pare {

WantedOutput::WantedOutput(const Stage& stage, const Linear& linear, Signal input,
                           const StageStreams& streams)
    : stage_(stage),
      linear_(linear),
      input_(input),
      streams_(streams),
      skip_(stage.skip.empty() ? nullptr : pack_linear(stage.skip, ComputeType::kF32)),
      sum_(streams.walk.split(), linear.weight.rows, linear.weight.cols) {}

void WantedOutput::see(Signal signal, const Activation& activation) {
  if (signal == Signal::kValueStream || signal == Signal::kHiddenStream) is_own_ = signal == input_;
  const bool is_other_output = signal == Signal::kBranchOutput && !is_own_;
  if (signal != input_ && signal != Signal::kStageInput && !is_other_output) return;
  const HostRows host = download(activation);
  const MatrixView<const float> x = host.view();
  if (signal == input_) x_ = copy_of(x);
  if (signal == Signal::kStageInput) {
    const MatrixView<const float> target = streams_.target(stage_, sequence_);
    const std::vector<float>& bias = linear_.bias;
    y_ = carried(stage_, skip_.get(), x);
    for (int64_t r = 0; r < y_.rows(); ++r)
      for (int64_t c = 0; c < y_.cols(); ++c)
        y_(r, c) = target(r, c) - y_(r, c) - (bias.empty() ? 0.0f : bias[static_cast<size_t>(c)]);
  }
  if (is_other_output)
    for (int64_t r = 0; r < y_.rows(); ++r)
      for (int64_t c = 0; c < y_.cols(); ++c) y_(r, c) -= x(r, c);
}

void WantedOutput::end_sequence() {
  const double* weights = weights_.empty() ? nullptr : weights_.data() + sequence_ * x_.rows();
  cross_accumulate(std::as_const(y_).view(), std::as_const(x_).view(), weights, sum_.next());
  ++sequence_;
}

}  // namespace pare
