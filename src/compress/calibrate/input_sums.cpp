#include "compress/calibrate/input_sums.h"

#include "compress/solve/gram.h"

namespace pare {

void KeptRows::begin(int64_t width) {
  width_ = width;
  rows_ = 0;
}

void KeptRows::add(MatrixView<const float> x) {
  PARE_CHECK(x.cols == width_);
  const MatrixView<float> to = buffer_.rows(rows_, x.rows, width_);
  copy_rows(x, to);
  buffer_.release(to);
  rows_ += x.rows;
}

InputSum::InputSum(Signal signal, int64_t width, const SampleSplit& split, KeptRows* kept)
    : signal_(signal), sum_(split, width, width), kept_(kept) {
  if (kept_ != nullptr) kept_->begin(width);
}

void InputSum::add(const Activation& x) {
  gram_accumulate(x, weights_.empty() ? nullptr : weights_.data() + rows_, sum_.next());
  rows_ += static_cast<size_t>(x.rows());
  if (kept_ != nullptr) kept_->add(download(x).view());
}

Matrix<double> InputSum::gram() && { return gram_total(std::move(sum_)); }

Observer adding_to(std::vector<InputSum>& sums) {
  return [&sums](Signal signal, const Activation& x) {
    for (InputSum& sum : sums)
      if (sum.signal() == signal) sum.add(x);
  };
}

}  // namespace pare
