// AdamW (Loshchilov and Hutter, arXiv 1711.05101) over flat arrays, and what stands around it.
#pragma once

#include <cstdint>
#include <span>

namespace pare {

struct AdamOptions {
  double beta1 = 0.9;   // decay of the mean of gradients
  double beta2 = 0.95;  // decay of the mean of their squares
  double epsilon = 1e-8;
};

// Arrays of one length that a step reads and changes.
struct AdamArrays {
  std::span<float> values;
  std::span<const float> gradient;
  std::span<float> mean;     // mean of gradients
  std::span<float> squares;  // mean of their squares
};

// Makes step number `step`, counted from 1: values −= rate · m̂ / (√v̂ + ε). The gradient is multiplied by
// `scale` first.
void adam_step(const AdamArrays& arrays, const AdamOptions& options, int64_t step, double rate, double scale);

// Returns the root of the sum of squares: same bits on any number of threads.
double norm_of(std::span<const float> values);

// average = decay · average + (1 − decay) · values.
void move_average(std::span<float> average, std::span<const float> values, double decay);

// Returns the learning rate of step `step`, counted from 1, of `steps`: a linear rise over the first
// `warm_up` steps to 1, then half a cosine down to `floor`.
double cosine_schedule(int64_t step, int64_t steps, int64_t warm_up, double floor);

}  // namespace pare
