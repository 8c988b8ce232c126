// Rounding rows of a matrix to a block encoding so that its outputs change least.
#pragma once

#include <cstddef>

#include "compress/quantize/options.h"
#include "compress/solve/input_gram.h"

namespace pare {

// Rounds `target` (rows, n): the encoding's values V for which tr((V − target)·H·(V − target)ᵀ) is small, H
// (n, n) being the matrix of `gram`; floats are the nearest. Writes their bytes, row after row, to `bytes`,
// and returns V.
Matrix<double> round_rows(MatrixView<const double> target, InputGram& gram, const QuantizeOptions& options,
                          Encoding encoding, std::byte* bytes);

}  // namespace pare
