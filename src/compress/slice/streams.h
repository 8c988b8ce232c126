// Slicing the streams inside a stage: a basis, a Gram matrix, a width; an exact change of basis, a cut, and a
// closed-form refit of the linear that reads the stream.
#pragma once

#include <cstdint>

#include "compress/report.h"
#include "linalg/linalg.h"
#include "model/forward.h"

namespace pare {

// The two streams inside a stage that can be cut without touching the residual stream.
enum class StreamKind {
  kHidden,  // between gate/up and down; cut to a set of neurons
  kValue,   // between v and o, inside every KV head; cut to a subspace
};

// The stream a stage has; throws kInternal for a stage without branches.
StreamKind stream_kind(const Stage& stage);
// Width of that stream: neurons, or value dimensions per KV head.
int64_t stream_width(const Stage& stage);
// Parameters of the stage's branch that one unit of width costs.
int64_t parameters_per_width(const Stage& stage);
// Columns of the stream as its reader sees them: neurons, or heads · value dimensions.
int64_t stream_columns(const Stage& stage);

// An observer that adds Σ zzᵀ of the stage's stream to `gram` (n, n), n = stream_columns; keeps a reference
// to it.
Observer stream_gram_observer(const Stage& stage, Matrix<double>& gram);

struct StreamCut {
  Stage stage;                  // with f32 weights
  double relative_error = 0.0;  // ‖Y − Y'‖² / ‖Y‖² of the reader's output on the calibration tokens
  int raised = 0;               // times the damping had to be raised
};

// Cuts the stream to `width` units. `gram` (n, n), n = stream_columns: Σ zzᵀ of the stream over calibration
// tokens. `ridge`: damping of the refit, relative to the mean of gram's diagonal. Hidden: keeps the neurons
// of largest energy gram_jj·‖W_down[:, j]‖², then W_down ← W_down·G[:, S]·(G[S, S] + λI)⁻¹ (the Nyström step
// of MoDeGPT, arXiv 2408.09632). Value: per KV head the subspace that loses least of o's output, from the SVD
// of M^½·H^½ with H = Σ zzᵀ and M = Σ OᵀO over its query heads (after FLAT-LLM, arXiv 2505.23966), folded
// into v; then the same refit of o over all heads together.
StreamCut cut_stream(const Stage& stage, MatrixView<const double> gram, int64_t width, double ridge);

}  // namespace pare
