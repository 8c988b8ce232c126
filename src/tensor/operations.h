// Parameters of the operations between linears: plain values, known to models and to backends alike.
#pragma once

#include <vector>

namespace pare {

// Functions of an MLP on its hidden values. kSilu: silu(gate)·up. kRelu, kGelu (x·Φ(x)) and kGeluTanh (its
// approximation by tanh: "gelu_new", "gelu_pytorch_tanh") act on one value.
enum class ActivationFunction { kSilu, kRelu, kGelu, kGeluTanh };

// Kinds of norms: kRms divides by the root of the mean square; kLayer takes the mean away before and adds a
// bias after; kNone: there is no norm (only a final norm may be none).
enum class NormKind { kRms, kLayer, kNone };

// x · rsqrt(Σx²/divisor + eps) · weight; an empty weight means ones. The divisor is the width the model was
// trained with, also after slicing (SliceGPT, section 3). kLayer: the same of x − mean(x), plus bias; an
// empty bias means zeros.
struct Norm {
  std::vector<float> weight;
  double divisor = 0.0;
  double eps = 1e-5;
  NormKind kind = NormKind::kRms;
  std::vector<float> bias = {};  // kLayer only
};

}  // namespace pare
