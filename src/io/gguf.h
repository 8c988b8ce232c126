// The GGUF format (versions 2 and 3, little endian): metadata, tensor descriptions, then the tensors.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/gguf_metadata.h"
#include "io/tensor_file.h"
#include "io/tensor_writer.h"

namespace pare {

// Returns whether GGUF has tensors of the encoding.
bool has_gguf_type(Encoding encoding);

struct GgufFile {
  std::string name;  // name of the file, for messages
  GgufMetadata metadata;
  TensorMap tensors;
  std::vector<TensorPlan> order;  // `tensors` in file order, as a writer needs them
};

// Maps the file; tensors share the mapping. `path` of a model in parts is the first one: the others are found
// beside it, and the result is as of one file. Throws kInvalid for another part, naming the first,
// kNotFound, kIo, kFormat naming the broken rule, and kUnsupported naming the version, or the tensor and its
// type, that pare does not read.
GgufFile read_gguf(const std::filesystem::path& path);
// A GGUF file in memory that `owner` keeps alive; `what` names it in messages.
GgufFile parse_gguf(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                    std::string_view what);

// Everything before the tensors' bytes, padded to the alignment (`general.alignment`, else 32).
std::string gguf_header(std::span<const TensorPlan> plan, std::span<const GgufEntry> metadata);

// Returns the bytes of the file that GgufWriter writes.
uint64_t gguf_bytes(std::span<const TensorPlan> plan, std::span<const GgufEntry> metadata);

// Writes GGUF version 3. Tensors follow in the order of the plan.
class GgufWriter : public TensorWriter {
 public:
  GgufWriter(const std::filesystem::path& path, std::vector<TensorPlan> plan,
             std::span<const GgufEntry> metadata);
};

}  // namespace pare
