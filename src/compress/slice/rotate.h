// Changing the basis of the residual stream around one stage (SliceGPT, section 3).
#pragma once

#include "linalg/linalg.h"
#include "model/model.h"

namespace pare {

// Returns the first `count` columns of q, as a view.
inline MatrixView<const double> leading_columns(const Matrix<double>& q, int64_t count) {
  return q.view().block(0, 0, q.rows(), count);
}

// Returns W·Q for a linear that reads the rotated (and cut) stream. Q (D, d).
Weight rotate_reader(const Weight& weight, MatrixView<const double> q);
// Returns Qᵀ·W for a linear that writes the rotated (and cut) stream.
Weight rotate_writer(const Weight& weight, MatrixView<const double> q);

// Returns the stage between streams in the bases q_in (D, d) and q_out (D', d'): readers W·q_in, writers
// q_outᵀ·W, biases of writers q_outᵀ·b, skip q_outᵀ·skip·q_in. The skip is left out when the bases are the
// same object.
Stage rotate_stage(const Stage& stage, MatrixView<const double> q_in, MatrixView<const double> q_out);

// Returns the first `width_in` components of a rotated stage's input and the first `width_out` of its output.
Stage leading_part(const Stage& rotated, int64_t width_in, int64_t width_out);

}  // namespace pare
