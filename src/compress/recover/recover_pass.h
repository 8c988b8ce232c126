// Recovery as a pass.
#pragma once

#include <memory>

#include "compress/passes.h"
#include "compress/recover/options.h"

namespace pare {

std::unique_ptr<Pass> recover_pass(RecoverOptions options);
PassKind recover_kind();

}  // namespace pare
