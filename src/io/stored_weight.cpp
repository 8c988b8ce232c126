#include "io/stored_weight.h"

#include <array>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "tensor/sparse_weight.h"

namespace pare {
namespace {

constexpr std::string_view kWeight = ".weight";

// Names of compressed-tensors: in place of ".weight".
std::string bitmask_name(const std::string& name, std::string_view part) {
  PARE_CHECK(name.ends_with(kWeight));
  return fmt::format("{}.{}", name.substr(0, name.size() - kWeight.size()), part);
}

// A tensor's bytes without their meaning.
Weight plain(Encoding encoding, int64_t rows, int64_t cols, const std::byte* data, const Weight& like) {
  return {kDense, encoding, rows, cols, data, like.owner, like.mapped};
}

class PartReader {
 public:
  PartReader(const PartSource& source, std::set<std::string>& used) : source_(source), used_(used) {}

  const TensorInfo& find(const std::string& name, const std::vector<int64_t>& shape) {
    const TensorInfo& tensor = find_any_tensor(source_.tensors, source_.skipped, name, source_.what);
    if (tensor.shape != shape)
      fail(ErrorCode::kFormat, "{}: tensor \"{}\": expected shape ({}), got ({})", source_.what, name,
           fmt::join(shape, ", "), fmt::join(tensor.shape, ", "));
    used_.insert(name);
    owners_.push_back(tensor.owner);
    return tensor;
  }
  const TensorInfo& find(const std::string& name, const std::vector<int64_t>& shape, Encoding encoding) {
    const TensorInfo& tensor = find(name, shape);
    if (tensor.encoding != encoding) wrong_type(tensor, encoding_info(encoding).name);
    return tensor;
  }
  [[noreturn]] void wrong_type(const TensorInfo& tensor, std::string_view expected) const {
    fail(ErrorCode::kFormat, "{}: tensor \"{}\": expected type {}, got {}", source_.what, tensor.name,
         expected, encoding_info(tensor.encoding).name);
  }
  int64_t stored_cols(const std::string& name, int64_t cols, Pattern pattern) const {
    if (!pattern.dense() && cols % pattern.group != 0)
      fail(ErrorCode::kFormat,
           "{}: \"{}\" cannot be {}: its rows of {} values do not divide into groups of {}", source_.what,
           name, pattern_name(pattern), cols, pattern.group);
    return Weight::stored_cols(cols, pattern);
  }
  // Of the tensors found, which may lie in several files.
  std::shared_ptr<const void> owner() const {
    for (const auto& owner : owners_)
      if (owner != owners_.front())
        return std::make_shared<std::vector<std::shared_ptr<const void>>>(owners_);
    return owners_.front();
  }

 private:
  const PartSource& source_;
  std::set<std::string>& used_;
  std::vector<std::shared_ptr<const void>> owners_;
};

Weight finished(Weight weight, const PartReader& reader, const PartSource& source, const std::string& name) {
  weight.owner = reader.owner();
  weight.mapped = true;
  check_parts(weight, fmt::format("{}: {}", source.what, name));
  return weight;
}

}  // namespace

std::string_view storage_format_name(StorageFormat format) {
  constexpr std::string_view kNames[] = {"dense", "packed", "sparse-24-bitmask"};
  return kNames[static_cast<size_t>(format)];
}

std::vector<PartPlan> plan_parts(StorageFormat format, const std::string& name, int64_t rows, int64_t cols,
                                 Pattern pattern, Encoding encoding) {
  if (pattern.dense() && encoding != Encoding::kInt8)
    return {{{name, encoding, {rows, cols}}, PartKind::kWhole}};
  const int64_t stored = Weight::stored_cols(cols, pattern);
  const int64_t mask = Weight::mask_row_bytes(cols);
  if (format == StorageFormat::kSparse24Bitmask) {
    PARE_CHECK(pattern == k2of4 && encoding != Encoding::kInt8);
    return {{{bitmask_name(name, "compressed"), encoding, {rows, stored}}, PartKind::kValues},
            {{bitmask_name(name, "bitmask"), Encoding::kU8, {rows, mask}}, PartKind::kMask},
            {{bitmask_name(name, "shape"), Encoding::kI64, {2, 1}}, PartKind::kShape}};
  }
  PARE_CHECK(format == StorageFormat::kPacked);
  std::vector<PartPlan> parts = {{{name + ".values", encoding, {rows, stored}}, PartKind::kValues}};
  if (!pattern.dense()) parts.push_back({{name + ".mask", Encoding::kU8, {rows, mask}}, PartKind::kMask});
  if (encoding == Encoding::kInt8)
    parts.push_back({{name + ".scale", Encoding::kF32, {rows}}, PartKind::kScales});
  return parts;
}

Weight part_of(const Weight& weight, PartKind kind) {
  switch (kind) {
    case PartKind::kWhole:
      return weight;
    case PartKind::kValues:
      return plain(weight.encoding, weight.rows, weight.stored_cols(), weight.data, weight);
    case PartKind::kMask:
      return plain(Encoding::kU8, weight.rows, Weight::mask_row_bytes(weight.cols), weight.mask, weight);
    case PartKind::kScales:
      return plain(Encoding::kF32, 1, weight.rows, weight.scales, weight);
    case PartKind::kShape: {
      const auto shape = std::make_shared<std::array<int64_t, 2>>(std::array{weight.rows, weight.cols});
      const auto* bytes = reinterpret_cast<const std::byte*>(shape->data());
      return {kDense, Encoding::kI64, 2, 1, bytes, shape, false};
    }
  }
  fail(ErrorCode::kInternal, "no such part of a weight");
}

Weight packed_matrix(const PartSource& source, const std::string& name, int64_t rows, int64_t cols,
                     Pattern pattern, std::set<std::string>& used) {
  PartReader reader(source, used);
  const TensorInfo& values = reader.find(name + ".values", {rows, reader.stored_cols(name, cols, pattern)});
  Weight weight{pattern, values.encoding, rows, cols, values.bytes.data(), nullptr, true};
  const bool scaled = weight.encoding == Encoding::kInt8;
  if (is_whole_numbers(weight.encoding) && !scaled) reader.wrong_type(values, "f32, f16, bf16 or int8");
  if (pattern.dense() && !scaled) reader.wrong_type(values, "int8, since the matrix is dense");
  if (!pattern.dense())
    weight.mask =
        reader.find(name + ".mask", {rows, Weight::mask_row_bytes(cols)}, Encoding::kU8).bytes.data();
  if (scaled) weight.scales = reader.find(name + ".scale", {rows}, Encoding::kF32).bytes.data();
  return finished(std::move(weight), reader, source, name);
}

Weight bitmask_matrix(const PartSource& source, const std::string& name, int64_t rows, int64_t cols,
                      std::set<std::string>& used) {
  PartReader reader(source, used);
  const TensorInfo& shape = reader.find(bitmask_name(name, "shape"), {2, 1}, Encoding::kI64);
  int64_t stated[2];
  std::memcpy(stated, shape.bytes.data(), sizeof(stated));
  if (stated[0] != rows || stated[1] != cols)
    fail(ErrorCode::kFormat, "{}: tensor \"{}\": expected ({}, {}), got ({}, {})", source.what, shape.name,
         rows, cols, stated[0], stated[1]);
  const TensorInfo& values =
      reader.find(bitmask_name(name, "compressed"), {rows, reader.stored_cols(name, cols, k2of4)});
  if (is_whole_numbers(values.encoding)) reader.wrong_type(values, "f32, f16 or bf16");
  Weight weight{k2of4, values.encoding, rows, cols, values.bytes.data(), nullptr, true};
  weight.mask =
      reader.find(bitmask_name(name, "bitmask"), {rows, Weight::mask_row_bytes(cols)}, Encoding::kU8)
          .bytes.data();
  return finished(std::move(weight), reader, source, name);
}

}  // namespace pare
