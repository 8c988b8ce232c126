// Exact: norms lose their weights, and layer norms become RMS norms (SliceGPT, section 3.2).
#pragma once

#include "linalg/linalg.h"
#include "model/model.h"

namespace pare {

// Returns a stage whose writers add nothing to the mean of the stream where it has a layer norm, so that a
// stream whose mean is 0 keeps it. It is the same function, since nothing reads the mean. New weights are
// f32. A stage with another norm stays as it is.
Stage center_writers(const Stage& stage);
// Takes from every row of x (rows, width) its mean.
void center_rows(MatrixView<float> x);
// Returns I − (1 − left)/D · 11ᵀ, which leaves the share `left` of the mean, and its inverse.
Matrix<double> centering(int64_t width, double left);
Matrix<double> inverse_centering(int64_t width, double left);

// Returns the same stage with a weightless RMS norm: scale and bias of the norm move into the linears that
// read it. Where it was a layer norm, this holds for streams without a mean. New weights are f32.
Stage fuse_norm(const Stage& stage);

// Returns the map between the final norm, made a weightless RMS norm, and the head's matrix: head_transform ·
// diag(norm weight), without its part that reads the mean where that is a layer norm, (width the head reads,
// output width).
Matrix<double> fused_head_map(const Model& model);
// Returns the head's bias with fused_head_map(), (vocab) or empty: head · head_transform · norm bias + bias.
std::vector<float> fused_head_bias(const Model& model);

// Returns whether a model of these widths becomes a plain checkpoint of its family by use_plain_norms.
bool plain_norms_suffice(ModelConfig config);
// Turns the divisor of sliced norms into a plain norm of the sliced width: weights · sqrt(D/d), eps · D/d.
// Exact; makes a uniformly sliced model without skips an ordinary checkpoint. Norms of queries and keys share
// that eps, so their stages must have come through with_plain_heads.
void use_plain_norms(Model& model);
// Scales queries and keys that have norms by sqrt(D/d), d = `width`, D the divisor of the stage's norm: a
// norm with an eps of D/d times as much then gives the same result as before. Needs f32 weights.
Stage with_plain_heads(const Stage& stage, int64_t width);

}  // namespace pare
