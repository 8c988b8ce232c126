#include "io/safetensors.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/checked_math.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "base/placeholder.h"
#include "io/checks.h"

namespace pare {
namespace {

constexpr uint64_t kMaxHeader = 100'000'000;  // the limit of the reference implementation
constexpr size_t kMaxTensors = size_t{1} << 18;
constexpr size_t kMaxRank = 8;

struct Dtype {
  std::string_view name;
  uint64_t bits;
  std::optional<Encoding> encoding;  // nothing for types that pare does not read
};

constexpr Dtype kDtypes[] = {
    {"F32", 32, Encoding::kF32},      {"BF16", 16, Encoding::kBF16}, {"F16", 16, Encoding::kF16},
    {"I8", 8, Encoding::kInt8},       {"U8", 8, Encoding::kU8},      {"I64", 64, Encoding::kI64},
    {"F64", 64, std::nullopt},        {"U64", 64, std::nullopt},     {"C64", 64, std::nullopt},
    {"I32", 32, Encoding::kI32},      {"U32", 32, std::nullopt},     {"I16", 16, std::nullopt},
    {"U16", 16, std::nullopt},        {"BOOL", 8, std::nullopt},     {"F8_E4M3", 8, std::nullopt},
    {"F8_E5M2", 8, std::nullopt},     {"F8_E8M0", 8, std::nullopt},  {"F8_E4M3FNUZ", 8, std::nullopt},
    {"F8_E5M2FNUZ", 8, std::nullopt}, {"F6_E2M3", 6, std::nullopt},  {"F6_E3M2", 6, std::nullopt},
    {"F4", 4, std::nullopt},
};

struct Entry {
  std::string name;
  const Dtype* dtype = nullptr;
  std::vector<int64_t> shape;
  uint64_t begin = 0;
  uint64_t end = 0;
};

class HeaderReader {
 public:
  explicit HeaderReader(std::string_view what) : what_(what) {}

  // Tensors sorted by their place in the file.
  std::vector<Entry> read(const Json& header, SafetensorsMetadata& metadata) const {
    if (header.size() > kMaxTensors)
      fail(ErrorCode::kFormat, "{}: {} tensors, at most {} are accepted", what_, header.size(), kMaxTensors);
    std::vector<Entry> entries;
    for (const auto& [name, value] : header.items()) {
      if (name == "__metadata__")
        metadata = read_metadata(value);
      else
        entries.push_back(read_entry(name, value));
    }
    const auto place = [](const Entry& e) { return std::pair(e.begin, e.end); };
    std::stable_sort(entries.begin(), entries.end(),
                     [&](const Entry& a, const Entry& b) { return place(a) < place(b); });
    return entries;
  }

 private:
  SafetensorsMetadata read_metadata(const Json& object) const {
    if (!object.is_object()) fail(ErrorCode::kFormat, "{}: __metadata__ is not a JSON object", what_);
    SafetensorsMetadata metadata;
    for (const auto& [key, value] : object.items()) {
      if (!value.is_string())
        fail(ErrorCode::kFormat, "{}: __metadata__ \"{}\" is not a string", what_, printable(key));
      metadata.emplace_back(key, value.get<std::string>());
    }
    return metadata;
  }

  Entry read_entry(const std::string& name, const Json& value) const {
    check_tensor_name(name, what_);
    Entry entry;
    entry.name = name;
    const std::string place = fmt::format("{}: tensor \"{}\"", what_, name);
    entry.dtype = find_dtype(json_get<std::string>(value, "dtype", place), place);
    for (const uint64_t dimension : read_numbers(value, "shape", place)) {
      if (dimension > INT64_MAX)
        fail(ErrorCode::kFormat, "{}: dimension {} exceeds 63 bits", place, dimension);
      entry.shape.push_back(static_cast<int64_t>(dimension));
    }
    if (entry.shape.size() > kMaxRank)
      fail(ErrorCode::kFormat, "{}: {} dimensions, at most {} are accepted", place, entry.shape.size(),
           kMaxRank);
    const std::vector<uint64_t> offsets = read_numbers(value, "data_offsets", place);
    if (offsets.size() != 2)
      fail(ErrorCode::kFormat, "{}: data_offsets has {} numbers, expected 2", place, offsets.size());
    entry.begin = offsets[0];
    entry.end = offsets[1];
    if (entry.end < entry.begin)
      fail(ErrorCode::kFormat, "{}: data_offsets end {} is before begin {}", place, entry.end, entry.begin);
    check_size(entry, place);
    return entry;
  }

  static const Dtype* find_dtype(const std::string& name, const std::string& place) {
    const auto it =
        std::find_if(std::begin(kDtypes), std::end(kDtypes), [&](auto& d) { return d.name == name; });
    if (it == std::end(kDtypes))
      fail(ErrorCode::kUnsupported, "{}: unknown dtype \"{}\"", place, printable(name));
    return it;
  }

  static std::vector<uint64_t> read_numbers(const Json& value, const char* key, const std::string& place) {
    const auto it = value.find(key);
    if (it == value.end() || !it->is_array()) fail(ErrorCode::kFormat, "{}: {} is not an array", place, key);
    std::vector<uint64_t> numbers;
    for (const Json& number : *it) {
      if (!number.is_number_unsigned())
        fail(ErrorCode::kFormat, "{}: {} holds something else than whole numbers of 64 bits", place, key);
      numbers.push_back(number.get<uint64_t>());
    }
    return numbers;
  }

  static void check_size(const Entry& entry, const std::string& place) {
    uint64_t bytes = 0;
    if (entry.dtype->encoding) {
      bytes = tensor_bytes(*entry.dtype->encoding, entry.shape, place);
    } else {
      const uint64_t bits =
          checked_mul(checked_product(entry.shape, place.c_str()), entry.dtype->bits, place.c_str());
      if (bits % 8 != 0) fail(ErrorCode::kFormat, "{}: {} bits are not whole bytes", place, bits);
      bytes = bits / 8;
    }
    if (entry.end - entry.begin != bytes)
      fail(ErrorCode::kFormat, "{}: {} of shape ({}) takes {} bytes, data_offsets span {}", place,
           entry.dtype->name, fmt::join(entry.shape, ", "), bytes, entry.end - entry.begin);
  }

  std::string_view what_;
};

std::string_view dtype_name(Encoding encoding) {
  for (const Dtype& dtype : kDtypes)
    if (dtype.encoding == encoding) return dtype.name;
  fail(ErrorCode::kUnsupported, "safetensors cannot hold {}", encoding_info(encoding).name);
}

std::string json_string(std::string_view text) { return Json(text).dump(); }

std::string make_header(const std::vector<TensorPlan>& plan, const SafetensorsMetadata& metadata) {
  std::string text(8, '\0');
  text += '{';
  if (!metadata.empty()) {
    Json object = Json::object();
    for (const auto& [key, value] : metadata) {
      if (!is_utf8(key) || !is_utf8(value))
        fail(ErrorCode::kInvalid, "safetensors metadata \"{}\" is not UTF-8", printable(key));
      if (!object.emplace(key, value).second)
        fail(ErrorCode::kInvalid, "safetensors metadata \"{}\" is given twice", printable(key));
    }
    text += "\"__metadata__\":" + object.dump();
  }
  uint64_t offset = 0;
  for (const TensorPlan& tensor : plan) {
    if (tensor.name == "__metadata__" || !is_utf8(tensor.name))
      fail(ErrorCode::kInvalid, "\"{}\" cannot be the name of a tensor", printable(tensor.name));
    const uint64_t end = checked_add(offset, tensor_bytes(tensor), "file size");
    if (text.back() != '{') text += ',';
    text += fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                        json_string(tensor.name), dtype_name(tensor.encoding), fmt::join(tensor.shape, ","),
                        offset, end);
    offset = end;
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t size = text.size() - 8;
  if (size > kMaxHeader)
    fail(ErrorCode::kInvalid, "a safetensors header of {} bytes, at most {} are allowed", size, kMaxHeader);
  std::memcpy(text.data(), &size, 8);
  return text;
}

}  // namespace

SafetensorsFile parse_safetensors(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                                  std::string_view what) {
  reject_lfs_pointer(bytes, what);
  reject_html(bytes, what);
  if (bytes.size() < 8)
    fail(ErrorCode::kFormat, "{}: {} bytes, a safetensors file has at least 8", what, bytes.size());
  uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), 8);
  if (header_size > kMaxHeader)
    fail(ErrorCode::kFormat, "{}: not a safetensors file: header of {} bytes, at most {} are allowed", what,
         header_size, kMaxHeader);
  if (header_size > bytes.size() - 8)
    fail(ErrorCode::kFormat, "{}: truncated: header of {} bytes, only {} follow", what, header_size,
         bytes.size() - 8);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + 8, header_size);
  if (!text.starts_with('{')) fail(ErrorCode::kFormat, "{}: the header does not start with '{{'", what);
  const std::span<const std::byte> data = bytes.subspan(8 + header_size);

  SafetensorsFile file;
  const std::vector<Entry> entries =
      HeaderReader(what).read(parse_json(text, fmt::format("{}: header", what)), file.metadata);
  uint64_t expected = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != expected)
      fail(ErrorCode::kFormat, "{}: tensor \"{}\" begins at {}, expected {}: the data has {}", what,
           entry.name, entry.begin, expected, entry.begin > expected ? "a hole" : "an overlap");
    expected = entry.end;
    if (entry.end > data.size())
      fail(ErrorCode::kFormat, "{}: truncated: tensor \"{}\" ends at {} of {} data bytes", what, entry.name,
           entry.end, data.size());
    if (!entry.dtype->encoding) {
      file.skipped.push_back({entry.name, std::string(entry.dtype->name)});
      continue;
    }
    file.order.push_back({entry.name, *entry.dtype->encoding, entry.shape});
    file.tensors[entry.name] = {entry.name, *entry.dtype->encoding, entry.shape,
                                data.subspan(entry.begin, entry.end - entry.begin), owner};
  }
  if (expected != data.size())
    fail(ErrorCode::kFormat, "{}: the tensors end at {}, the file has {} data bytes", what, expected,
         data.size());
  return file;
}

SafetensorsFile read_safetensors(const std::filesystem::path& path) {
  auto mapped = MappedFile::open(path);
  const auto bytes = mapped->bytes();
  return parse_safetensors(bytes, std::move(mapped), path.string());
}

void sort_like_safetensors(std::vector<TensorPlan>& plan) {
  constexpr Encoding kOrder[] = {Encoding::kI64, Encoding::kF32,  Encoding::kI32, Encoding::kBF16,
                                 Encoding::kF16, Encoding::kInt8, Encoding::kU8};
  const auto rank = [&](Encoding e) { return std::find(std::begin(kOrder), std::end(kOrder), e) - kOrder; };
  std::sort(plan.begin(), plan.end(), [&](const TensorPlan& a, const TensorPlan& b) {
    return std::pair(rank(a.encoding), std::string_view(a.name)) <
           std::pair(rank(b.encoding), std::string_view(b.name));
  });
}

uint64_t safetensors_bytes(const std::vector<TensorPlan>& plan, const SafetensorsMetadata& metadata) {
  uint64_t bytes = make_header(plan, metadata).size();
  for (const TensorPlan& tensor : plan) bytes = checked_add(bytes, tensor_bytes(tensor), "file size");
  return bytes;
}

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorPlan> plan,
                                     const SafetensorsMetadata& metadata)
    : TensorWriter(path, plan, make_header(plan, metadata), 1) {}

}  // namespace pare
