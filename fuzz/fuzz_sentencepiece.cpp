// tokenizer.model files: an error of the right kind, or a tokenizer that encodes and decodes.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "text/tokenizer/sentencepiece.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  try {
    const pare::Tokenizer tokenizer(pare::sentencepiece_spec(pare::parse_sentencepiece_model(input).vocab));
    const auto ids = tokenizer.encode(input, {.parse_special = false});
    tokenizer.decode(ids, false);
    for (const int32_t id : ids) PARE_CHECK(!tokenizer.is_special(id) || id == tokenizer.spec().unknown);
    pare::tokenizer_json(tokenizer.spec());
  } catch (const pare::Error& error) {
    if (error.code() == pare::ErrorCode::kInternal) throw;
  }
  return 0;
}
