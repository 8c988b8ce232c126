// GGUF: every tensor of an accepted file can be read to its last byte, and its header writes and reads back
// the same.
#include <vector>

#include "base/error.h"
#include "io/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pare;
  const std::vector<uint8_t> copy(data, data + size);  // no room after the end: an overrun is seen
  try {
    const GgufFile file = parse_gguf(std::as_bytes(std::span(copy)), nullptr, "input");
    PARE_CHECK(file.order.size() == file.tensors.size());
    for (const auto& [name, tensor] : file.tensors) {
      const Weight weight = as_weight(tensor);
      PARE_CHECK(static_cast<size_t>(weight.bytes()) == tensor.bytes.size());
      if (!tensor.bytes.empty()) decode(weight);
    }
    // Compared as bytes: a NaN in the metadata is not equal to itself.
    const std::string header = gguf_header({}, file.metadata.entries());
    const GgufFile again = parse_gguf(std::as_bytes(std::span(header)), nullptr, "output");
    PARE_CHECK(gguf_header({}, again.metadata.entries()) == header);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal) throw;
  }
  return 0;
}
