#include "compress/passes.h"

#include "compress/quantize/quantize_pass.h"
#include "compress/recover/recover_pass.h"
#include "compress/slice/slice_pass.h"
#include "compress/sparsify/sparsify_pass.h"

namespace pare {

const std::vector<PassKind>& pass_kinds() {
  static const std::vector<PassKind> kKinds = {slice_kind(), sparsify_kind(), quantize_kind(),
                                               recover_kind()};
  return kKinds;
}

}  // namespace pare
