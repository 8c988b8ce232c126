// safetensors: every tensor of an accepted file can be read to its last byte.
#include <vector>

#include "base/error.h"
#include "io/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pare;
  const std::vector<uint8_t> copy(data, data + size);  // no room after the end: an overrun is seen
  try {
    const SafetensorsFile file = parse_safetensors(std::as_bytes(std::span(copy)), nullptr, "input");
    PARE_CHECK(file.order.size() == file.tensors.size());
    uint64_t bytes = 0;
    for (const auto& [name, tensor] : file.tensors) {
      bytes += tensor.bytes.size();
      if (is_whole_numbers(tensor.encoding)) continue;
      const Weight weight = as_weight(tensor);
      PARE_CHECK(static_cast<size_t>(weight.bytes()) == tensor.bytes.size());
      if (!tensor.bytes.empty()) decode(weight);
    }
    PARE_CHECK(bytes <= size);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal) throw;
  }
  return 0;
}
