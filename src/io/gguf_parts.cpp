// Opening GGUF files, whole ones and those in parts (NAME-00001-of-00003.gguf and so on).
#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/mapped_file.h"
#include "io/checks.h"
#include "io/gguf.h"
#include "io/gguf_types.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSplitKeys = "split.";
constexpr std::string_view kSuffix = ".gguf";

// Place of a part among all, from its metadata.
struct PartInfo {
  uint32_t number = 0;  // counts from 0
  uint32_t count = 1;
};

PartInfo part_info(const GgufFile& file) {
  const PartInfo info = {file.metadata.find_u32("split.no").value_or(0),
                         file.metadata.find_u32("split.count").value_or(1)};
  if (info.count > 1 && info.number >= info.count)
    fail(ErrorCode::kFormat, "{}: part {} of {}: the number is too large", file.name, info.number + 1,
         info.count);
  return info;
}

// "-00002-of-00003.gguf"
std::string part_ending(uint32_t number, uint32_t count) {
  return fmt::format("-{:05}-of-{:05}{}", number + 1, count, kSuffix);
}

// Returns the path of another part, from that of one; nothing when the name does not end as a part's.
std::optional<fs::path> part_path(const fs::path& path, const PartInfo& info, uint32_t number) {
  const std::string name = path.filename().string();
  const std::string ending = part_ending(info.number, info.count);
  if (!name.ends_with(ending)) return std::nullopt;
  return path.parent_path() / (name.substr(0, name.size() - ending.size()) + part_ending(number, info.count));
}

// Throws for a GGUF file behind the last tensor: parts were joined as `cat` does it.
void reject_joined(const GgufFile& file, std::span<const std::byte> bytes) {
  size_t end = 0;
  for (const auto& [name, tensor] : file.tensors)
    end = std::max(end, static_cast<size_t>(tensor.bytes.data() + tensor.bytes.size() - bytes.data()));
  if (end == 0) return;
  const uint64_t alignment = gguf::alignment(file.metadata);
  for (const size_t begin : {end, static_cast<size_t>((end + alignment - 1) / alignment * alignment)}) {
    if (begin + gguf::kMagic.size() > bytes.size()) continue;
    const std::string_view magic(reinterpret_cast<const char*>(bytes.data()) + begin, gguf::kMagic.size());
    if (magic != gguf::kMagic) continue;
    fail(ErrorCode::kFormat,
         "{}: another GGUF file begins at byte {}: parts of a model were joined into one file; they are to "
         "lie beside each "
         "other as NAME{} and so on, and the first is to be named",
         file.name, begin, part_ending(0, std::max(2u, part_info(file).count)));
  }
}

GgufFile read_single(const fs::path& path) {
  auto mapped = MappedFile::open(path);
  const auto bytes = mapped->bytes();
  GgufFile file = parse_gguf(bytes, std::move(mapped), path.string());
  reject_joined(file, bytes);
  return file;
}

// Adds a further part's tensors; `number` is the part that it should be.
void add_part(const GgufFile& part, const PartInfo& first, uint32_t number, GgufFile& file) {
  const PartInfo info = part_info(part);
  if (info.number != number || info.count != first.count)
    fail(ErrorCode::kFormat, "{}: it says that it is part {} of {}, expected part {} of {}", part.name,
         info.number + 1, info.count, number + 1, first.count);
  for (const GgufEntry& entry : part.metadata.entries()) {
    const GgufValue* other = entry.key == "split.no" ? nullptr : file.metadata.find(entry.key);
    if (other != nullptr && *other != entry.value)
      fail(ErrorCode::kFormat, "{}: it is a part of another model than {}: metadata \"{}\" differs",
           part.name, file.name, printable(entry.key));
  }
  for (const TensorPlan& plan : part.order) {
    if (!file.tensors.emplace(plan.name, part.tensors.at(plan.name)).second)
      fail(ErrorCode::kFormat, "{}: tensor \"{}\" is in an earlier part too", part.name, plan.name);
    file.order.push_back(plan);
  }
}

}  // namespace

GgufFile read_gguf(const fs::path& path) {
  GgufFile file = read_single(path);
  const PartInfo info = part_info(file);
  if (info.count <= 1) return file;
  const auto first = part_path(path, info, 0);
  if (!first)
    fail(ErrorCode::kFormat,
         "{}: part {} of a model in {} parts, but its name does not end in \"{}\": the other parts cannot be "
         "found",
         file.name, info.number + 1, info.count, part_ending(info.number, info.count));
  if (info.number != 0)
    fail(ErrorCode::kInvalid,
         "{}: part {} of a model in {} parts: give the first one, {}, which finds the others", file.name,
         info.number + 1, info.count, first->string());
  for (uint32_t number = 1; number < info.count; ++number) {
    const fs::path other = *part_path(path, info, number);
    if (!fs::exists(other))
      fail(ErrorCode::kNotFound, "{}: part {} of {} is missing: {} does not exist", file.name, number + 1,
           info.count, other.string());
    add_part(read_single(other), info, number, file);
  }
  if (const auto count = file.metadata.find_u32("split.tensors.count");
      count && *count != file.tensors.size())
    fail(ErrorCode::kFormat, "{}: the {} parts hold {} tensors, the first says {}", file.name, info.count,
         file.tensors.size(), *count);
  // The result is one file, so its metadata names no parts.
  GgufMetadata whole;
  for (const GgufEntry& entry : file.metadata.entries())
    if (!entry.key.starts_with(kSplitKeys)) whole.add(entry.key, entry.value);
  file.metadata = std::move(whole);
  return file;
}

}  // namespace pare
