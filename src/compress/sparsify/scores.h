// The scores of the N:M methods: how much a weight matters.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/comm.h"
#include "tensor/matrix.h"
#include "tensor/pattern.h"
#include "tensor/weight.h"

namespace pare {

enum class SparseMethod {
  kMagnitude,  // |W|
  kWanda,      // |W|·‖X_j‖ (arXiv 2306.11695)
  kRia,        // (|W| / Σ_row |W| + |W| / Σ_column |W|)·‖X_j‖^½ (ICLR 2024)
  kEsparse,    // |W|·(IE_j + α·‖X_j‖) (arXiv 2310.15929)
  kSparseGpt,  // W² / U_jj², H⁻¹ = UᵀU, on weights updated on the way (arXiv 2301.00774)
  kAlps,       // ADMM on mask and weights together (arXiv 2406.07831)
};

// Scaling of the norm of a channel where it is added to an entropy.
enum class NormScale {
  kSum,       // √Σx²
  kRms,       // √(Σx² / tokens)
  kRelative,  // √Σx² divided by its mean over the channels
};

struct ScoreOptions {
  SparseMethod method = SparseMethod::kEsparse;
  int64_t bins = 100;  // bins of the histogram whose entropy is taken
  double alpha = 100.0;
  NormScale norm = NormScale::kRelative;
};

// Calibration statistics of the input channels of a linear.
struct ChannelStatistics {
  int64_t tokens = 0;
  std::vector<double> square_sums;  // (channels): Σx²
  std::vector<double> entropies;    // (channels): nats; only for methods that ask for it
  std::vector<double> weight_sums;  // (channels): Σ_i |W_ij| of the linear; only for methods that ask
};

// Sets the statistics of one linear's weights (out, channels) that the method asks for.
void measure_weights(const Weight& weight, const ScoreOptions& options, ChannelStatistics& statistics);

// Returns the entropy, in nats, of every column of x (tokens, channels) over `bins` equal bins between its
// smallest and largest value. A constant channel has entropy 0. E-Sparse, section 3.1. Every rank has some of
// the tokens and gets the entropies over all.
std::vector<double> channel_entropies(MatrixView<const float> x, int64_t bins, Comm& comm = local_comm());

// Returns the standard deviation of the mean entropies of groups of M channels: a shuffle should lower it.
double entropy_spread(const std::vector<double>& entropies, Pattern pattern);

// Returns scores (rows, cols) of some rows of a linear for methods that do not update weights as they choose.
Matrix<double> weight_scores(MatrixView<const double> weight, const ChannelStatistics& statistics,
                             const ScoreOptions& options);

}  // namespace pare
