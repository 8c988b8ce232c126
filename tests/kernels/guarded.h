// Buffers with canaries around every row: a kernel that writes outside its output is caught.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "base/parallel.h"
#include "base/rng.h"
#include "tensor/matrix.h"

namespace pare::test {

// rows × cols floats, misaligned, each row between guards of `guard` bits.
class Guarded {
 public:
  Guarded(int64_t rows, int64_t cols, uint32_t guard)
      : rows_(rows),
        cols_(cols),
        guard_(std::bit_cast<float>(guard)),
        values_(static_cast<size_t>((rows + 1) * (cols + kGuards)), guard_) {}

  MatrixView<float> view() { return {values_.data() + kGuards, rows_, cols_, cols_ + kGuards}; }
  float* data() { return view().data; }

  void fill_normal(uint64_t seed) {
    Rng rng(seed);
    fill([&] { return static_cast<float>(rng.normal()); });
  }
  // Fills in integers of [-limit, limit]: small sums of products are exact in f32 and bf16.
  void fill_integers(uint64_t seed, int limit) {
    Rng rng(seed);
    fill([&] { return static_cast<float>(static_cast<int>(rng.below(2 * limit + 1)) - limit); });
  }
  void expect_guards() {
    const auto view_now = view();
    for (int64_t r = 0; r <= rows_; ++r)
      for (int64_t g = 1; g <= kGuards; ++g)
        ASSERT_EQ(std::bit_cast<uint32_t>(view_now.row(r)[-g]), std::bit_cast<uint32_t>(guard_))
            << "written " << g << " before row " << r << " of " << rows_ << " x " << cols_;
  }

 private:
  static constexpr int64_t kGuards = 17;

  template <typename Next>
  void fill(Next next) {
    for (int64_t r = 0; r < rows_; ++r)
      for (int64_t c = 0; c < cols_; ++c) view()(r, c) = next();
  }

  int64_t rows_;
  int64_t cols_;
  float guard_;
  std::vector<float> values_;
};

inline constexpr uint32_t kCanary = 0x5ca1ab1e;
// Guards of inputs: anything computed from one is NaN.
inline constexpr uint32_t kPoison = 0x7fc0dead;

// Sets the thread count and restores it.
class ThreadCount {
 public:
  explicit ThreadCount(int n) : before_(thread_count()) { set_thread_count(n); }
  ~ThreadCount() { set_thread_count(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

inline double norm(const float* x, int64_t n) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return std::sqrt(sum);
}

// Bound of the rounding error of an f32 dot product of k terms (k + 1 roundings of 2^-24 each).
inline double dot_tolerance(double norm_a, double norm_b, int64_t k) {
  return static_cast<double>(k + 1) * 0x1p-24 * norm_a * norm_b + 1e-30;
}

}  // namespace pare::test
