// Matrices in parts: what is accepted can be decoded to its last value, and storing it again gives the same.
#include <cstring>
#include <functional>
#include <vector>

#include "base/error.h"
#include "io/safetensors.h"
#include "io/stored_weight.h"
#include "tensor/sparse_weight.h"

namespace {

using namespace pare;

void check(const std::function<Weight()>& read) {
  try {
    const Weight weight = read();
    const Matrix<float> values = decode(weight);
    if (!all_finite(weight)) return;
    const Weight dense = to_pattern(weight, kDense, "w");
    const Matrix<float> again = decode(to_pattern(dense, weight.format.pattern, "w"));
    for (int64_t i = 0; i < values.size(); ++i) PARE_CHECK(again.data()[i] == values.data()[i]);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal) throw;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::vector<uint8_t> copy(data, data + size);  // no room after the end: an overrun is seen
  SafetensorsFile file;
  try {
    file = parse_safetensors(std::as_bytes(std::span(copy)), nullptr, "input");
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal) throw;
    return 0;
  }
  const PartSource source{"input", file.tensors, file.skipped};
  std::set<std::string> used;
  // Where no codes are stated, the type of the values tells what they are.
  constexpr Encoding kUnstated = Encoding::kF32;
  constexpr WeightFormat kFormats[] = {{kDense, kUnstated},
                                       {k2of4, kUnstated},
                                       {{1, 4}, kUnstated},
                                       {{6, 8}, kUnstated},
                                       {{3, 5}, kUnstated},
                                       {{31, 32}, kUnstated},
                                       {kDense, Encoding::kInt4},
                                       {kDense, Encoding::kInt4, 32},
                                       {k2of4, Encoding::kInt4, 32, true},
                                       {{31, 32}, Encoding::kInt4, 64},
                                       {k2of4, Encoding::kInt8, 32}};
  for (const auto& entry : file.tensors) {
    const std::string& name = entry.first;
    const auto& tensor = entry.second;
    if (tensor.shape.size() != 2) continue;
    const int64_t rows = tensor.shape[0];
    if (name.ends_with(".weight.values"))
      for (const WeightFormat& format : kFormats) {
        const Pattern pattern = format.pattern;
        const int64_t stored = tensor.shape[1] * (format.encoding == Encoding::kInt4 ? 2 : 1);
        const int64_t cols = pattern.dense() ? stored : stored / pattern.kept * pattern.group;
        check(
            [&] { return packed_matrix(source, name.substr(0, name.size() - 7), rows, cols, format, used); });
      }
    if (name.ends_with(".weight_packed"))
      for (const int32_t group : {0, 32})
        check([&] {
          return pack_quantized_matrix(source, name.substr(0, name.size() - 7), rows, 8 * tensor.shape[1],
                                       {kDense, Encoding::kInt4, group}, used);
        });
    if (name.ends_with(".compressed"))
      check([&] {
        return bitmask_matrix(source, name.substr(0, name.size() - 11) + ".weight", rows, 2 * tensor.shape[1],
                              used);
      });
  }
  return 0;
}
