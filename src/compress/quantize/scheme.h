// Formats of quantize: which encoding each matrix of a model gets.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/roles.h"
#include "tensor/encoding.h"

namespace pare {

// A format as a user names it: one encoding for all matrices, or a mixture of GGUF's K-quants that gives
// sensitive matrices more bits, as llama.cpp's files of that name do.
class QuantizeScheme {
 public:
  QuantizeScheme() : QuantizeScheme("q4n") {}
  // Takes one of names(). Throws kUsage for another text.
  explicit QuantizeScheme(const std::string& name);
  static std::vector<std::string> names();

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
};

}  // namespace pare
