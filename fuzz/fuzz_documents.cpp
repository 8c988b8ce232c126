// Text files: an error of the right kind, or documents that are text.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "text/files/documents.h"
#include "text/files/text_file.h"
#include "text/unicode/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  try {
    const pare::Documents documents = pare::parse_documents(pare::text_of_bytes(input, "input"), "input");
    PARE_CHECK(!documents.texts.empty());
    PARE_CHECK(documents.records || documents.texts.size() == 1);
    for (const std::string& text : documents.texts) {
      PARE_CHECK(!text.empty() && text.find('\0') == std::string::npos);
      for (size_t at = 0; at < text.size();) {
        const pare::Utf8Char c = pare::decode_utf8(std::string_view(text).substr(at));
        PARE_CHECK(c.valid);
        at += c.length;
      }
    }
  } catch (const pare::Error& error) {
    if (error.code() == pare::ErrorCode::kInternal) throw;
  }
  return 0;
}
