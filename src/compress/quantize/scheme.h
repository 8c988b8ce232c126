// Formats of quantize: which encoding each matrix of a model gets.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "model/roles.h"
#include "tensor/encoding.h"

namespace pare {

// A matrix by its role and layer; embedding and head are of none (-1).
using MatrixName = std::pair<Role, int64_t>;

// A format as a user names it: one encoding for all matrices, or a mixture of GGUF's K-quants that gives
// sensitive matrices more bits, as llama.cpp's files of that name do. Or one for each matrix, as a budget has
// chosen them.
class QuantizeScheme {
 public:
  QuantizeScheme() : QuantizeScheme("q4n") {}
  // Takes one of names(). Throws kUsage for another text.
  explicit QuantizeScheme(const std::string& name);
  // `chosen`: the encoding of every matrix that is asked for. Floats are not rounded to few bits.
  explicit QuantizeScheme(std::map<MatrixName, Encoding> chosen);
  static std::vector<std::string> names();

  // Returns the name that a user gave; "chosen" of encodings that were chosen for each matrix.
  const std::string& name() const { return name_; }
  // Returns the encoding of a matrix with rows of `cols` values, of layer `block` of `blocks`, or of none
  // (-1). In a mixture, rows that do not divide into the K-quant's superblocks get an encoding with blocks
  // of 32.
  Encoding encoding_of(Role role, int64_t block, int64_t blocks, int64_t cols) const;
  // Returns every encoding that some matrix may get.
  std::vector<Encoding> encodings() const;
  bool is_mixture() const { return rich_ != base_; }

 private:
  std::string name_;
  Encoding base_;
  Encoding rich_;  // encoding of sensitive matrices; base_ where there is no mixture
  std::map<MatrixName, Encoding> chosen_ = {};
};

}  // namespace pare
