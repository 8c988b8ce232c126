// Precisions of the public face as those of the library.
#pragma once

#include "kernels/linear.h"
#include "pare/model.h"

namespace pare::api {

ComputeType compute_type(Precision precision);

}  // namespace pare::api
