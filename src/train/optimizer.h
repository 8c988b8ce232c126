// The optimiser of training: steps in the metric of the gradient's second moments, and what stands around
// them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace pare {

// A matrix (rows, cols) or a vector (rows 1) in flat arrays of values and gradients.
struct SteppedTensor {
  int64_t offset = 0;
  int64_t rows = 0;
  int64_t cols = 0;
  double unit = 1.0;         // size of its values, which steps are measured in
  double rate = 0.0;         // its learning rate at its highest, in units
  bool sets_damping = true;  // counts in the typical second moment
};

// Steps along m √t / (v + t/5), with m the mean of gradients, v that of their squares, and t a typical v: the
// diagonal of a natural gradient (Amari 1998), since v is the curvature of the loss but for a factor. Beside
// AdamW, which steps along m / √v, noise moves values of much curvature less, where it costs most. All this
// is in units of the tensors: a tensor of larger values, whose gradients are smaller so, has larger steps.
//
// v of a matrix is the product of means over its rows and its columns (Adafactor, Shazeer and Stern, arXiv
// 1804.04235); a vector has one for each value. t is the geometric mean of v over matrices.
class Optimizer {
 public:
  explicit Optimizer(std::vector<SteppedTensor> tensors);

  // Reads a gradient; returns the root of the sum of its squares. Same bits on any number of threads.
  double observe(std::span<const float> gradient);
  // Makes step number `step`, counted from 1, with the gradient that was observed, times `scale`. `schedule`:
  // share of the learning rates. `mean` holds the mean of gradients, an array like `values`.
  void step(std::span<float> values, std::span<const float> gradient, std::span<float> mean, int64_t step,
            double schedule, double scale);

  // The means of squares, which a checkpoint keeps beside `mean`.
  std::span<float> squares() { return squares_; }

 private:
  double typical_square() const;

  std::vector<SteppedTensor> tensors_;
  std::vector<size_t> begins_;    // where the means of squares of a tensor begin: of rows, then of columns
  std::vector<float> squares_;    // running means
  std::vector<double> observed_;  // means of squares of the gradient that was observed
};

// average = decay · average + (1 − decay) · values.
void move_average(std::span<float> average, std::span<const float> values, double decay);

// Returns the learning rate of step `step`, counted from 1, of `steps`: a linear rise over the first
// `warm_up` steps to 1, then half a cosine down to `floor`.
double cosine_schedule(int64_t step, int64_t steps, int64_t warm_up, double floor);

}  // namespace pare
