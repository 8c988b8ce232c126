// Changing the basis of the residual stream around one stage (SliceGPT, section 3).
#pragma once

#include "linalg/linalg.h"
#include "model/model.h"

namespace pare {

// The first `count` columns of q, as a view.
inline MatrixView<const double> leading_columns(const Matrix<double>& q, int64_t count) {
  return q.view().block(0, 0, q.rows(), count);
}

// W·Q: a linear that reads the rotated (and cut) stream. Q (D, d).
Weight rotate_reader(const Weight& weight, MatrixView<const double> q);
// Qᵀ·W: a linear that writes it.
Weight rotate_writer(const Weight& weight, MatrixView<const double> q);

// The stage between streams in the bases q_in (D, d) and q_out (D', d'): readers W·q_in, writers q_outᵀ·W,
// biases of writers q_outᵀ·b, skip q_outᵀ·skip·q_in. The skip is left out when the bases are one and the same
// object.
Stage rotate_stage(const Stage& stage, MatrixView<const double> q_in, MatrixView<const double> q_out);

// The first `width_in` components of what a rotated stage reads and the first `width_out` of what it writes.
Stage leading_part(const Stage& rotated, int64_t width_in, int64_t width_out);

}  // namespace pare
