#include <algorithm>
#include <bit>

#include "base/checked_math.h"
#include "base/placeholder.h"
#include "io/byte_reader.h"
#include "io/checks.h"
#include "io/gguf.h"
#include "io/gguf_types.h"

namespace pare {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr uint64_t kMaxTensors = uint64_t{1} << 18;
constexpr uint64_t kMaxEntries = uint64_t{1} << 16;
// Limit of strings and nested arrays in all of the metadata: in memory they are larger than in the file.
constexpr uint64_t kMaxObjects = uint64_t{1} << 24;

struct TensorEntry {
  TensorPlan plan;
  uint64_t begin = 0;  // offset in the data section
  uint64_t end = 0;
};

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, std::string_view what) : reader_(bytes, what), what_(what) {}

  GgufFile parse(std::span<const std::byte> bytes, const std::shared_ptr<const void>& owner) {
    read_version();
    const auto tensor_count = reader_.read<uint64_t>("tensor count");
    const auto entry_count = reader_.read<uint64_t>("metadata count");
    check_count(entry_count, kMaxEntries, 8 + 1 + 4 + 1, "metadata entries");
    check_count(tensor_count, kMaxTensors, 8 + 1 + 4 + 4 + 8, "tensors");

    GgufFile file;
    file.name = what_;
    for (uint64_t i = 0; i < entry_count; ++i) read_entry(file.metadata);
    const uint64_t alignment = gguf::alignment(file.metadata);
    std::vector<TensorEntry> tensors;
    for (uint64_t i = 0; i < tensor_count; ++i) tensors.push_back(read_tensor(alignment));

    const uint64_t data_begin = (reader_.position() + alignment - 1) / alignment * alignment;
    const std::span<const std::byte> data =
        bytes.subspan(std::min<uint64_t>(data_begin, bytes.size()));  // no padding is needed without tensors
    for (const TensorEntry& tensor : tensors) {
      if (tensor.end > data.size())
        fail(ErrorCode::kFormat, "{}: truncated: tensor \"{}\" ends at {} of {} data bytes", what_,
             tensor.plan.name, tensor.end, data.size());
      file.order.push_back(tensor.plan);
      const bool inserted =
          file.tensors
              .emplace(tensor.plan.name,
                       TensorInfo{tensor.plan.name, tensor.plan.encoding, tensor.plan.shape,
                                  data.subspan(tensor.begin, tensor.end - tensor.begin), owner})
              .second;
      if (!inserted) fail(ErrorCode::kFormat, "{}: tensor \"{}\" is there twice", what_, tensor.plan.name);
    }
    reject_overlap(tensors);
    return file;
  }

 private:
  void read_version() {
    std::string magic;
    for (int i = 0; i < 4; ++i) magic += reader_.read<char>("magic number");
    if (magic != gguf::kMagic)
      fail(ErrorCode::kFormat, "{}: not a GGUF file: it begins with \"{}\"", what_, printable(magic));
    const auto version = reader_.read<uint32_t>("version");
    if ((version & 0xffff) == 0)
      fail(ErrorCode::kUnsupported, "{}: a big-endian GGUF file; only little-endian ones are read", what_);
    if (version != 2 && version != 3)
      fail(ErrorCode::kUnsupported, "{}: GGUF version {}; versions 2 and 3 are read", what_, version);
  }

  void check_count(uint64_t count, uint64_t limit, uint64_t min_bytes, std::string_view field) {
    if (count > limit)
      fail(ErrorCode::kFormat, "{}: {} {}, at most {} are accepted", what_, count, field, limit);
    reader_.require_items(count, min_bytes, field);
  }

  void read_entry(GgufMetadata& metadata);
  // `depth` counts the arrays around an array.
  template <typename T>
  T read_value(const std::string& key, int depth);
  GgufArray read_array(const std::string& key, int depth);

  TensorEntry read_tensor(uint64_t alignment) {
    TensorEntry tensor;
    tensor.plan.name = reader_.read_string("tensor name");
    check_tensor_name(tensor.plan.name, what_);
    const std::string place = fmt::format("{}: tensor \"{}\"", what_, tensor.plan.name);
    const auto rank = reader_.read<uint32_t>(place);
    if (rank > gguf::kMaxRank)
      fail(ErrorCode::kFormat, "{}: {} dimensions, at most {} are accepted", place, rank, gguf::kMaxRank);
    for (uint32_t i = 0; i < rank; ++i) {
      const auto dimension = reader_.read<uint64_t>(place);
      if (dimension > INT64_MAX)
        fail(ErrorCode::kFormat, "{}: dimension {} exceeds 63 bits", place, dimension);
      tensor.plan.shape.insert(tensor.plan.shape.begin(), static_cast<int64_t>(dimension));
    }
    const auto type = reader_.read<uint32_t>(place);
    const auto encoding = gguf::encoding_of(type);
    if (!encoding)
      fail(ErrorCode::kUnsupported, "{}: type {} ({}); pare reads {}", place, gguf::tensor_type_name(type),
           type, gguf::readable_types());
    tensor.plan.encoding = *encoding;
    tensor.begin = reader_.read<uint64_t>(place);
    if (tensor.begin % alignment != 0)
      fail(ErrorCode::kFormat, "{}: offset {} is not a multiple of {}", place, tensor.begin, alignment);
    tensor.end = checked_add(tensor.begin, tensor_bytes(*encoding, tensor.plan.shape, place), place.c_str());
    return tensor;
  }

  void reject_overlap(std::vector<TensorEntry>& tensors) const {
    std::sort(tensors.begin(), tensors.end(), [](const TensorEntry& a, const TensorEntry& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    for (size_t i = 1; i < tensors.size(); ++i)
      if (tensors[i].begin < tensors[i - 1].end)
        fail(ErrorCode::kFormat, "{}: tensors \"{}\" and \"{}\" overlap", what_, tensors[i - 1].plan.name,
             tensors[i].plan.name);
  }

  ByteReader reader_;
  std::string_view what_;
  uint64_t objects_ = 0;
};

// Readers outside of the class, because clang 14 loses member templates that a lambda in the class calls.
template <typename T>
T Parser::read_value(const std::string& key, int depth) {
  if constexpr (std::is_same_v<T, bool>) {
    const auto byte = reader_.read<uint8_t>(key);
    if (byte > 1)
      fail(ErrorCode::kFormat, "{}: metadata \"{}\": {} is not a bool", what_, printable(key), byte);
    return byte == 1;
  } else if constexpr (std::is_arithmetic_v<T>) {
    return reader_.read<T>(key);
  } else {
    if (++objects_ > kMaxObjects)
      fail(ErrorCode::kFormat, "{}: more than {} strings and arrays in the metadata", what_, kMaxObjects);
    if constexpr (std::is_same_v<T, std::string>)
      return reader_.read_string(key);
    else
      return read_array(key, depth);
  }
}

GgufArray Parser::read_array(const std::string& key, int depth) {
  if (depth > gguf::kMaxArrayDepth)
    fail(ErrorCode::kFormat, "{}: metadata \"{}\": arrays nested deeper than {}", what_, printable(key),
         gguf::kMaxArrayDepth);
  const auto type = reader_.read<uint32_t>(key);
  if (type >= std::variant_size_v<GgufValue>)
    fail(ErrorCode::kFormat, "{}: metadata \"{}\": array of unknown type {}", what_, printable(key), type);
  const auto count = reader_.read<uint64_t>(key);
  return gguf::with_type(type, [&]<typename T>() -> GgufArray {
    constexpr uint64_t kMinBytes = std::is_arithmetic_v<T>          ? sizeof(T)
                                   : std::is_same_v<T, std::string> ? 8
                                                                    : 12;
    reader_.require_items(count, kMinBytes, "array elements");
    std::vector<T> values;
    if constexpr (std::is_arithmetic_v<T>) values.reserve(count);
    for (uint64_t i = 0; i < count; ++i) values.push_back(read_value<T>(key, depth + 1));
    return {std::move(values)};
  });
}

void Parser::read_entry(GgufMetadata& metadata) {
  std::string key = reader_.read_string("metadata key");
  check_name("metadata key", key, gguf::kMaxKeyBytes, what_);
  const auto type = reader_.read<uint32_t>(key);
  if (type >= std::variant_size_v<GgufValue>)
    fail(ErrorCode::kFormat, "{}: metadata \"{}\" has unknown type {}", what_, printable(key), type);
  GgufValue value = gguf::with_type(type, [&]<typename T>() -> GgufValue {
    return GgufValue(std::in_place_type<T>, read_value<T>(key, 1));
  });
  metadata.add(std::move(key), std::move(value));
}

}  // namespace

GgufFile parse_gguf(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                    std::string_view what) {
  reject_lfs_pointer(bytes, what);
  reject_html(bytes, what);
  return Parser(bytes, what).parse(bytes, owner);
}

}  // namespace pare
