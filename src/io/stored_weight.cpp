#include "io/stored_weight.h"

#include <array>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "tensor/sparse_weight.h"

namespace pare {
namespace {

constexpr std::string_view kWeight = ".weight";
constexpr int64_t kCodesOfWord = 8;  // codes of four bits in an I32, the first in its lowest bits

// Makes names of compressed-tensors: `part` in place of ".weight".
std::string bitmask_name(const std::string& name, std::string_view part) {
  PARE_CHECK(name.ends_with(kWeight));
  return fmt::format("{}.{}", name.substr(0, name.size() - kWeight.size()), part);
}

// Makes a weight of a tensor's bytes without their meaning.
Weight plain(Encoding encoding, int64_t rows, int64_t cols, const std::byte* data, const Weight& like) {
  return {encoding, rows, cols, data, like.owner, like.mapped};
}

// Scales or zero points: (rows), or (rows, groups).
Weight scale_part(Encoding encoding, const std::byte* data, const Weight& weight) {
  if (weight.format.group == 0) return plain(encoding, weight.rows, 1, data, weight);
  return plain(encoding, weight.rows, weight.groups(), data, weight);
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
  void require_fit(const std::string& name, int64_t cols, const WeightFormat& format) const {
    if (const std::string reason = misfit(format, cols); !reason.empty())
      fail(ErrorCode::kFormat, "{}: \"{}\" {}", source_.what, name, reason);
  }
  // Checks what a tensor of two numbers says of the matrix.
  void require_shape(const TensorInfo& tensor, int64_t rows, int64_t cols) const {
    int64_t stated[2];
    std::memcpy(stated, tensor.bytes.data(), sizeof(stated));
    if (stated[0] != rows || stated[1] != cols)
      fail(ErrorCode::kFormat, "{}: tensor \"{}\": expected ({}, {}), got ({}, {})", source_.what,
           tensor.name, rows, cols, stated[0], stated[1]);
  }
  // Owner of the tensors that were found, which may lie in several files.
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

// Returns whether the tensors of a matrix do not tell its format, so that it has to be stated: what they are
// made of is bytes.
bool lies_in_bytes(Encoding encoding) { return encoding == Encoding::kInt4 || is_block_encoding(encoding); }

// The type and shape in which values lie in a file, which knows nothing smaller than a byte.
TensorPlan values_plan(const std::string& name, int64_t rows, int64_t cols, const WeightFormat& format) {
  const int64_t stored = Weight::stored_cols(cols, format.pattern);
  if (!lies_in_bytes(format.encoding)) return {name, format.encoding, {rows, stored}};
  return {name, Encoding::kU8, {rows, row_bytes(format.encoding, stored)}};
}

// The shape of scales and zero points.
std::vector<int64_t> scale_shape(int64_t rows, int64_t cols, const WeightFormat& format) {
  if (format.group == 0) return {rows};
  return {rows, scales_of_row(format, cols)};
}

Weight finished(Weight weight, const PartReader& reader, const PartSource& source, const std::string& name) {
  weight.owner = reader.owner();
  weight.mapped = true;
  check_parts(weight, fmt::format("{}: {}", source.what, name));
  return weight;
}

}  // namespace

std::string_view storage_format_name(StorageFormat format) {
  constexpr std::string_view kNames[] = {"dense", "packed", "sparse-24-bitmask", "pack-quantized"};
  return kNames[static_cast<size_t>(format)];
}

std::vector<PartPlan> plan_parts(StorageFormat storage, const std::string& name, int64_t rows, int64_t cols,
                                 const WeightFormat& format) {
  const Pattern pattern = format.pattern;
  const bool codes = is_code(format.encoding);
  if (pattern.dense() && is_float(format.encoding))
    return {{{name, format.encoding, {rows, cols}}, PartKind::kWhole}};
  const int64_t mask = Weight::mask_row_bytes(cols);
  if (storage == StorageFormat::kSparse24Bitmask) {
    PARE_CHECK(pattern == k2of4 && !codes);
    return {{values_plan(bitmask_name(name, "compressed"), rows, cols, format), PartKind::kValues},
            {{bitmask_name(name, "bitmask"), Encoding::kU8, {rows, mask}}, PartKind::kMask},
            {{bitmask_name(name, "shape"), Encoding::kI64, {2, 1}}, PartKind::kShape}};
  }
  if (storage == StorageFormat::kPackQuantized) {
    PARE_CHECK(pattern.dense() && format.encoding == Encoding::kInt4 && !format.zero_points);
    const std::vector<int64_t> grid = {rows, scales_of_row(format, cols)};
    return {{{name + "_packed", Encoding::kI32, {rows, cols / kCodesOfWord}}, PartKind::kWords},
            {{name + "_scale", format.scale_type, grid}, PartKind::kScales},
            {{name + "_shape", Encoding::kI64, {2}}, PartKind::kShape}};
  }
  PARE_CHECK(storage == StorageFormat::kPacked);
  std::vector<PartPlan> parts = {{values_plan(name + ".values", rows, cols, format), PartKind::kValues}};
  if (!pattern.dense()) parts.push_back({{name + ".mask", Encoding::kU8, {rows, mask}}, PartKind::kMask});
  const std::vector<int64_t> grid = scale_shape(rows, cols, format);
  if (codes) parts.push_back({{name + ".scale", format.scale_type, grid}, PartKind::kScales});
  if (format.zero_points)
    parts.push_back({{name + ".zero_point", Encoding::kU8, grid}, PartKind::kZeroPoints});
  return parts;
}

Weight part_of(const Weight& weight, PartKind kind) {
  switch (kind) {
    case PartKind::kWhole:
      return weight;
    case PartKind::kValues: {
      const TensorPlan plan = values_plan({}, weight.rows, weight.cols, weight.format);
      return plain(plan.encoding, plan.shape[0], plan.shape[1], weight.data, weight);
    }
    case PartKind::kWords:  // bytes do not change: each holds the first of two codes in its lower half
      return plain(Encoding::kI32, weight.rows, weight.cols / kCodesOfWord, weight.data, weight);
    case PartKind::kMask:
      return plain(Encoding::kU8, weight.rows, Weight::mask_row_bytes(weight.cols), weight.mask, weight);
    case PartKind::kScales:
      return scale_part(weight.format.scale_type, weight.scales, weight);
    case PartKind::kZeroPoints:
      return scale_part(Encoding::kU8, weight.zero_points, weight);
    case PartKind::kShape: {
      const auto shape = std::make_shared<std::array<int64_t, 2>>(std::array{weight.rows, weight.cols});
      const auto* bytes = reinterpret_cast<const std::byte*>(shape->data());
      return {Encoding::kI64, 2, 1, bytes, shape, false};
    }
  }
  fail(ErrorCode::kInternal, "no such part of a weight");
}

Weight packed_matrix(const PartSource& source, const std::string& name, int64_t rows, int64_t cols,
                     const WeightFormat& stated, std::set<std::string>& used) {
  PartReader reader(source, used);
  reader.require_fit(name, cols, stated);
  const bool is_stated = !is_float(stated.encoding);
  const TensorPlan plan = values_plan(name + ".values", rows, cols, stated);
  const TensorInfo& values =
      is_stated ? reader.find(plan.name, plan.shape, plan.encoding) : reader.find(plan.name, plan.shape);
  Weight weight{stated, rows, cols, values.bytes.data(), nullptr, true};
  if (!is_stated) weight.format.encoding = values.encoding;
  const bool scaled = is_code(weight.format.encoding);
  if (is_whole_numbers(weight.format.encoding) && !scaled)
    reader.wrong_type(values, "f32, f16, bf16 or int8");
  if (stated.pattern.dense() && !is_stated && !scaled)
    reader.wrong_type(values, "int8, since the matrix is dense");
  if (!stated.pattern.dense())
    weight.mask =
        reader.find(name + ".mask", {rows, Weight::mask_row_bytes(cols)}, Encoding::kU8).bytes.data();
  const std::vector<int64_t> grid = scale_shape(rows, cols, weight.format);
  if (scaled) weight.scales = reader.find(name + ".scale", grid, weight.format.scale_type).bytes.data();
  if (weight.format.zero_points)
    weight.zero_points = reader.find(name + ".zero_point", grid, Encoding::kU8).bytes.data();
  return finished(std::move(weight), reader, source, name);
}

Weight bitmask_matrix(const PartSource& source, const std::string& name, int64_t rows, int64_t cols,
                      std::set<std::string>& used) {
  PartReader reader(source, used);
  reader.require_shape(reader.find(bitmask_name(name, "shape"), {2, 1}, Encoding::kI64), rows, cols);
  reader.require_fit(name, cols, {k2of4, Encoding::kF32});
  const TensorInfo& values =
      reader.find(bitmask_name(name, "compressed"), {rows, Weight::stored_cols(cols, k2of4)});
  if (is_whole_numbers(values.encoding)) reader.wrong_type(values, "f32, f16 or bf16");
  Weight weight{{k2of4, values.encoding}, rows, cols, values.bytes.data(), nullptr, true};
  weight.mask =
      reader.find(bitmask_name(name, "bitmask"), {rows, Weight::mask_row_bytes(cols)}, Encoding::kU8)
          .bytes.data();
  return finished(std::move(weight), reader, source, name);
}

Weight pack_quantized_matrix(const PartSource& source, const std::string& name, int64_t rows, int64_t cols,
                             const WeightFormat& stated, std::set<std::string>& used) {
  PartReader reader(source, used);
  const std::string order = name + "_g_idx";
  if (source.tensors.contains(order))
    fail(ErrorCode::kUnsupported,
         "{}: tensor \"{}\" groups the columns in an order of its own, which pare does not read", source.what,
         order);
  reader.require_fit(name, cols, stated);
  if (cols % kCodesOfWord != 0)
    fail(ErrorCode::kUnsupported, "{}: \"{}\" has rows of {} values, pare reads multiples of {}", source.what,
         name, cols, kCodesOfWord);
  reader.require_shape(reader.find(name + "_shape", {2}, Encoding::kI64), rows, cols);
  const TensorInfo& words = reader.find(name + "_packed", {rows, cols / kCodesOfWord}, Encoding::kI32);
  const TensorInfo& scales = reader.find(name + "_scale", {rows, scales_of_row(stated, cols)});
  if (!is_float(scales.encoding)) reader.wrong_type(scales, "f32, f16 or bf16");
  Weight weight{stated, rows, cols, words.bytes.data(), nullptr, true};
  weight.format.scale_type = scales.encoding;
  weight.scales = scales.bytes.data();
  return finished(std::move(weight), reader, source, name);
}

}  // namespace pare
