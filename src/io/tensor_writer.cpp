#include "io/tensor_writer.h"

#include <algorithm>
#include <set>

#include "base/checked_math.h"
#include "base/error.h"
#include "base/parallel.h"
#include "io/checks.h"

namespace pare {
namespace {

std::vector<TensorPlan> checked(std::vector<TensorPlan> plan, const std::filesystem::path& path) {
  std::set<std::string_view> names;
  for (const TensorPlan& tensor : plan) {
    check_tensor_name(tensor.name, path.string());
    if (!names.insert(tensor.name).second)
      fail(ErrorCode::kInvalid, "{}: tensor \"{}\" is planned twice", path.string(), tensor.name);
    tensor_bytes(tensor);
  }
  return plan;
}

}  // namespace

TensorWriter::TensorWriter(const std::filesystem::path& path, std::vector<TensorPlan> plan,
                           std::string_view header, uint64_t alignment)
    : path_(path), plan_(checked(std::move(plan), path)), alignment_(alignment), file_(path) {
  file_.write(header);
  begin_ = file_.position();
}

const TensorPlan& TensorWriter::expect(const std::string& name) const {
  PARE_CHECK(file_.position() == begin_);  // writing goes on after a failure
  if (next_ == plan_.size())
    fail(ErrorCode::kInvalid, "{}: tensor \"{}\" comes after the last of the plan", path_.string(), name);
  if (plan_[next_].name != name)
    fail(ErrorCode::kInvalid, "{}: expected tensor \"{}\", got \"{}\"", path_.string(), plan_[next_].name,
         name);
  return plan_[next_];
}

void TensorWriter::finish_tensor() {
  const uint64_t used = file_.position() % alignment_;
  if (used != 0) file_.write(std::string(alignment_ - used, '\0'));
  begin_ = file_.position();
  ++next_;
}

void TensorWriter::write(const std::string& name, std::span<const std::byte> bytes) {
  const uint64_t expected = tensor_bytes(expect(name));
  if (bytes.size() != expected)
    fail(ErrorCode::kInvalid, "{}: tensor \"{}\" has {} bytes, the plan says {}", path_.string(), name,
         bytes.size(), expected);
  file_.write(bytes);
  finish_tensor();
}

void TensorWriter::write(const std::string& name, const Weight& weight) {
  const TensorPlan& plan = expect(name);
  const uint64_t values = checked_product(plan.shape, "planned shape");
  const bool same_shape =
      plan.shape.size() != 2 || (plan.shape[0] == weight.rows && plan.shape[1] == weight.cols);
  if (!same_shape || static_cast<uint64_t>(weight.values()) != values)
    fail(ErrorCode::kInvalid, "{}: tensor \"{}\" is ({}, {}), the plan says ({})", path_.string(), name,
         weight.rows, weight.cols, fmt::join(plan.shape, ", "));
  if (weight.format == plan.encoding && weight.scales == nullptr)
    return write(name, std::span(weight.data, static_cast<size_t>(weight.bytes())));
  if (!encoding_info(plan.encoding).encodable)
    fail(ErrorCode::kUnsupported, "{}: tensor \"{}\" cannot be converted to {}", path_.string(), name,
         encoding_info(plan.encoding).name);

  constexpr int64_t kChunkValues = int64_t{1} << 20;
  constexpr int64_t kRowsPerTask = 16;
  const int64_t chunk = std::max<int64_t>(1, kChunkValues / std::max<int64_t>(1, weight.cols));  // rows
  const int64_t stride = row_bytes(plan.encoding, weight.cols);
  std::vector<std::byte> encoded;
  for (int64_t first = 0; first < weight.rows; first += chunk) {
    const int64_t count = std::min(chunk, weight.rows - first);
    encoded.resize(static_cast<size_t>(count * stride));
    parallel_for((count + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task) {
      std::vector<float> row(static_cast<size_t>(weight.cols));
      for (int64_t r = task * kRowsPerTask; r < std::min(count, (task + 1) * kRowsPerTask); ++r) {
        decode_row(weight, first + r, row.data());
        encode_values(plan.encoding, row.data(), weight.cols, encoded.data() + r * stride);
      }
    });
    file_.write(encoded);
  }
  finish_tensor();
}

void TensorWriter::commit() {
  if (next_ != plan_.size())
    fail(ErrorCode::kInvalid, "{}: tensor \"{}\" was not written", path_.string(), plan_[next_].name);
  file_.commit();
}

}  // namespace pare
