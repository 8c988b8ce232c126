// Activations of many tokens in f32: in memory, or in a file that may be larger than it.
#pragma once

#include <cstdint>
#include <filesystem>

#include "tensor/matrix.h"

namespace pare {

// A flat array of floats that rows of any width are laid into. In a file it survives the death of the
// process, and its pages can be taken out of memory.
class ActivationFile {
 public:
  ActivationFile() = default;
  // Makes an array in memory. Throws kIo when the system refuses.
  explicit ActivationFile(int64_t floats);
  // Makes an array in a file of that size: an existing one keeps its content, another is created with its
  // space reserved. `spill`: release() takes pages out of memory. Throws kIo, also when the disk is full.
  ActivationFile(const std::filesystem::path& path, int64_t floats, bool spill);
  ~ActivationFile();
  ActivationFile(ActivationFile&& other) noexcept;
  ActivationFile& operator=(ActivationFile&& other) noexcept;

  // Returns rows [first, first + count) of the array seen as rows of `width`.
  MatrixView<float> rows(int64_t first, int64_t count, int64_t width);
  MatrixView<const float> rows(int64_t first, int64_t count, int64_t width) const;
  // Tells that these rows are not needed for a while.
  void release(MatrixView<const float> rows) const;
  // Makes the first `floats` durable. Throws kIo.
  void sync(int64_t floats) const;
  // Returns whether a file of that size was there already.
  bool was_there() const { return was_there_; }

 private:
  float* data_ = nullptr;
  int64_t floats_ = 0;
  bool in_file_ = false;
  bool spill_ = false;
  bool was_there_ = false;
};

}  // namespace pare
