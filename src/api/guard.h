// Errors of the library as those of its public face.
#pragma once

#include <new>
#include <utility>

#include "base/error.h"
#include "pare/error.h"

namespace pare::api {

ErrorCode public_code(pare::ErrorCode code);

// Returns what `call` returns. Exceptions that are neither pare's nor for want of memory pass through.
template <typename Call>
auto guarded(Call&& call) {
  try {
    return std::forward<Call>(call)();
  } catch (const pare::Error& error) {
    throw Error(public_code(error.code()), error.what());
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::kMemory, "out of memory");
  }
}

}  // namespace pare::api
