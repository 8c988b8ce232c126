#include "base/error.h"
#include "io/checks.h"
#include "io/gguf.h"
#include "io/gguf_types.h"

namespace pare {
namespace {

template <typename T>
void put(std::string& out, const T& value, int depth = 0) {
  if constexpr (std::is_same_v<T, std::string>) {
    put(out, static_cast<uint64_t>(value.size()));
    out += value;
  } else if constexpr (std::is_same_v<T, GgufArray>) {
    if (depth == gguf::kMaxArrayDepth)
      fail(ErrorCode::kInvalid, "GGUF metadata: arrays nested deeper than {}", gguf::kMaxArrayDepth);
    put(out, static_cast<uint32_t>(value.values.index()));
    std::visit(
        [&](const auto& elements) {
          using Element = typename std::decay_t<decltype(elements)>::value_type;
          put(out, static_cast<uint64_t>(elements.size()));
          for (size_t i = 0; i < elements.size(); ++i) put<Element>(out, elements[i], depth + 1);
        },
        value.values);
  } else {
    static_assert(std::is_arithmetic_v<T>);
    out.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
}

GgufMetadata checked(std::span<const GgufEntry> entries) {
  GgufMetadata metadata;
  for (const GgufEntry& entry : entries) {
    check_name("metadata key", entry.key, gguf::kMaxKeyBytes, "GGUF metadata");
    metadata.add(entry.key, entry.value);
  }
  return metadata;
}

uint64_t padded(uint64_t size, uint64_t alignment) { return (size + alignment - 1) / alignment * alignment; }

}  // namespace

std::string gguf_header(std::span<const TensorPlan> plan, std::span<const GgufEntry> metadata) {
  const uint64_t alignment = gguf::alignment(checked(metadata));
  std::string out(gguf::kMagic);
  put(out, gguf::kVersion);
  put(out, static_cast<uint64_t>(plan.size()));
  put(out, static_cast<uint64_t>(metadata.size()));
  for (const GgufEntry& entry : metadata) {
    put(out, entry.key);
    put(out, static_cast<uint32_t>(entry.value.index()));
    std::visit([&](const auto& value) { put(out, value); }, entry.value);
  }
  uint64_t offset = 0;
  for (const TensorPlan& tensor : plan) {
    if (tensor.shape.size() > gguf::kMaxRank)
      fail(ErrorCode::kInvalid, "tensor \"{}\": GGUF holds at most {} dimensions, got {}", tensor.name,
           gguf::kMaxRank, tensor.shape.size());
    put(out, tensor.name);
    put(out, static_cast<uint32_t>(tensor.shape.size()));
    for (auto it = tensor.shape.rbegin(); it != tensor.shape.rend(); ++it)
      put(out, static_cast<uint64_t>(*it));
    put(out, gguf::tensor_type_of(tensor.encoding));
    put(out, offset);
    offset += padded(tensor_bytes(tensor), alignment);
  }
  out.resize(padded(out.size(), alignment), '\0');
  return out;
}

uint64_t gguf_bytes(std::span<const TensorPlan> plan, std::span<const GgufEntry> metadata) {
  const uint64_t alignment = gguf::alignment(checked(metadata));
  uint64_t bytes = gguf_header(plan, metadata).size();
  for (const TensorPlan& tensor : plan) bytes += padded(tensor_bytes(tensor), alignment);
  return bytes;
}

GgufWriter::GgufWriter(const std::filesystem::path& path, std::vector<TensorPlan> plan,
                       std::span<const GgufEntry> metadata)
    : TensorWriter(path, plan, gguf_header(plan, metadata), gguf::alignment(checked(metadata))) {}

}  // namespace pare
