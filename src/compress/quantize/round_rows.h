// Rounding rows of a matrix to a block encoding so that its outputs change least.
#pragma once

#include <cstddef>
#include <functional>

#include "compress/quantize/options.h"
#include "compress/solve/input_gram.h"

namespace pare {

// Rounds `target` (rows, n): the encoding's values V for which tr((V − target)·H·(V − target)ᵀ) is small, H
// (n, n) being the matrix of `gram`; floats are the nearest. Writes their bytes, row after row, to `bytes`,
// and returns V.
Matrix<double> round_rows(MatrixView<const double> target, InputGram& gram, const QuantizeOptions& options,
                          Encoding encoding, std::byte* bytes);

// Returns a dense weight of floats or of a block encoding whose rows `fill` writes, one after the other, to
// the bytes that it is given.
Weight encoded_weight(Encoding encoding, int64_t rows, int64_t cols,
                      const std::function<void(std::byte* bytes)>& fill);

}  // namespace pare
