#include "io/tensor_file.h"

#include <algorithm>

#include "base/checked_math.h"
#include "base/error.h"

namespace pare {
namespace {

// Keeps the bytes of a row inside 64 bits also where another dimension is 0.
constexpr int64_t kMaxDimension = int64_t{1} << 40;

}  // namespace

uint64_t tensor_bytes(Encoding encoding, std::span<const int64_t> shape, std::string_view what) {
  const std::string name(what);
  for (const int64_t dimension : shape)
    if (dimension < 0 || dimension > kMaxDimension)
      fail(ErrorCode::kFormat, "{}: dimension {} is not between 0 and {}", what, dimension, kMaxDimension);
  const EncodingInfo& info = encoding_info(encoding);
  const int64_t cols = shape.empty() ? 1 : shape.back();
  if (cols % info.block_values != 0)
    fail(ErrorCode::kFormat, "{}: rows of {} values do not divide into {} blocks of {}", what, cols,
         info.name, info.block_values);
  const uint64_t rows = checked_product(shape.first(shape.empty() ? 0 : shape.size() - 1), name.c_str());
  const uint64_t bytes = checked_mul(rows, static_cast<uint64_t>(row_bytes(encoding, cols)), name.c_str());
  if (bytes > INT64_MAX) fail(ErrorCode::kFormat, "{}: {} bytes exceed 63 bits", what, bytes);
  return bytes;
}

uint64_t tensor_bytes(const TensorPlan& plan) { return tensor_bytes(plan.encoding, plan.shape, plan.name); }

Weight as_weight(const TensorInfo& tensor) {
  PARE_CHECK(!is_whole_numbers(tensor.encoding));
  Weight weight;
  weight.format = tensor.encoding;
  weight.cols = tensor.shape.empty() ? 1 : tensor.shape.back();
  weight.rows = 1;
  for (size_t i = 0; i + 1 < tensor.shape.size(); ++i) weight.rows *= tensor.shape[i];
  weight.data = tensor.bytes.data();
  weight.owner = tensor.owner;
  weight.mapped = true;
  return weight;
}

Weight as_weight(const TensorInfo& tensor, int64_t rows, int64_t cols) {
  if (tensor.shape != std::vector<int64_t>{rows, cols})
    fail(ErrorCode::kFormat, "tensor \"{}\": expected shape ({}, {}), got ({})", tensor.name, rows, cols,
         fmt::join(tensor.shape, ", "));
  return as_weight(tensor);
}

std::vector<float> as_vector(const TensorInfo& tensor, int64_t size) {
  if (tensor.shape != std::vector<int64_t>{size})
    fail(ErrorCode::kFormat, "tensor \"{}\": expected shape ({}), got ({})", tensor.name, size,
         fmt::join(tensor.shape, ", "));
  PARE_CHECK(!is_whole_numbers(tensor.encoding));
  std::vector<float> values(static_cast<size_t>(size));
  decode_values(tensor.encoding, tensor.bytes.data(), size, values.data());
  return values;
}

const TensorInfo& find_any_tensor(const TensorMap& tensors, std::span<const SkippedTensor> skipped,
                                  const std::string& name, std::string_view what) {
  const auto it = tensors.find(name);
  if (it != tensors.end()) return it->second;
  const auto match = [&](const SkippedTensor& tensor) { return tensor.name == name; };
  const auto other = std::find_if(skipped.begin(), skipped.end(), match);
  if (other != skipped.end())
    fail(ErrorCode::kUnsupported, "{}: tensor \"{}\" is of type {}, which pare does not read", what, name,
         other->dtype);
  fail(ErrorCode::kNotFound, "{}: tensor \"{}\" is missing", what, name);
}

const TensorInfo& find_tensor(const TensorMap& tensors, std::span<const SkippedTensor> skipped,
                              const std::string& name, std::string_view what) {
  const TensorInfo& tensor = find_any_tensor(tensors, skipped, name, what);
  if (is_whole_numbers(tensor.encoding))
    fail(ErrorCode::kUnsupported, "{}: tensor \"{}\" holds whole numbers ({}), which pare does not read here",
         what, name, encoding_info(tensor.encoding).name);
  return tensor;
}

}  // namespace pare
