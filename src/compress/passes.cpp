#include "compress/passes.h"

#include <fmt/format.h>

#include "compress/quantize/quantize_pass.h"
#include "compress/recover/recover_pass.h"
#include "compress/slice/rotate_pass.h"
#include "compress/slice/slice_pass.h"
#include "compress/sparsify/sparsify_pass.h"
#include "io/gguf.h"

namespace pare {

std::string no_gguf_type(const std::vector<Encoding>& encodings) {
  for (const Encoding encoding : encodings)
    if (!has_gguf_type(encoding)) return fmt::format("GGUF has no type {}", encoding_info(encoding).name);
  return "";
}

const std::vector<PassKind>& pass_kinds() {
  static const std::vector<PassKind> kKinds = {slice_kind(), sparsify_kind(), rotate_kind(), quantize_kind(),
                                               recover_kind()};
  return kKinds;
}

}  // namespace pare
