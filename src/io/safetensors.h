// The safetensors format: a JSON header, then the tensors.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/tensor_file.h"
#include "io/tensor_writer.h"

namespace pare {

// The strings of `__metadata__`, in file order.
using SafetensorsMetadata = std::vector<std::pair<std::string, std::string>>;

struct SafetensorsFile {
  TensorMap tensors;                   // F32, F16, BF16; I8, U8 and I64
  std::vector<SkippedTensor> skipped;  // tensors of the format's other types
  std::vector<TensorPlan> order;       // `tensors` in the order of their bytes, as a writer needs them
  SafetensorsMetadata metadata;
};

// Maps the file; tensors share the mapping. Throws kNotFound, kIo, kFormat naming the broken rule, and
// kUnsupported for a type that the format does not define.
SafetensorsFile read_safetensors(const std::filesystem::path& path);
// Parses a safetensors file in memory that `owner` keeps alive; `what` names it in messages.
SafetensorsFile parse_safetensors(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                                  std::string_view what);

// Sorts as the safetensors library does: i64, f32, bf16, f16, i8, u8, then by name.
void sort_like_safetensors(std::vector<TensorPlan>& plan);

// Returns the bytes of the file that SafetensorsWriter writes.
uint64_t safetensors_bytes(const std::vector<TensorPlan>& plan, const SafetensorsMetadata& metadata = {});

// Writes the plan in its own order. With a plan sorted by sort_like_safetensors the bytes are those of the
// safetensors library.
class SafetensorsWriter : public TensorWriter {
 public:
  SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorPlan> plan,
                    const SafetensorsMetadata& metadata = {});
};

}  // namespace pare
