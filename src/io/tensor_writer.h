// Writing weight files, one tensor after the other.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "io/tensor_file.h"

namespace pare {

// Base of the formats' writers: a header that states all tensors, then their bytes in the planned order,
// each padded to an alignment. Nothing appears under the final name before commit().
class TensorWriter {
 public:
  // Writes the next tensor of the plan. Throws kInvalid when it is another one or has another size, kIo when
  // the operating system refuses.
  void write(const std::string& name, std::span<const std::byte> bytes);
  // Writes a weight, converted to the planned encoding where it has another one or is not dense (it must be
  // encodable, the values finite). The number of values must agree; for a 2-D tensor the shape.
  void write(const std::string& name, const Weight& weight);
  // Throws kInvalid naming the first tensor that was not written.
  void commit();

  const std::vector<TensorPlan>& plan() const { return plan_; }

 protected:
  TensorWriter(const std::filesystem::path& path, std::vector<TensorPlan> plan, std::string_view header,
               uint64_t alignment);

 private:
  const TensorPlan& expect(const std::string& name) const;
  void finish_tensor();

  std::filesystem::path path_;
  std::vector<TensorPlan> plan_;
  uint64_t alignment_;
  size_t next_ = 0;
  uint64_t begin_ = 0;  // begin of the next tensor in the file
  AtomicFile file_;
};

}  // namespace pare
