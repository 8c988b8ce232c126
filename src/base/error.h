// Errors a user can cause (pare::Error) and broken invariants (PARE_CHECK).
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace pare {

enum class ErrorCode {
  kUsage,        // the request itself makes no sense (exit 2)
  kNotFound,     // a file, tensor or key that must be there is not
  kIo,           // the operating system refused: unreadable, unwritable, disk full
  kFormat,       // a file breaks its format's rules
  kUnsupported,  // valid, but outside what pare does
  kInvalid,      // a value outside its allowed range
  kNumeric,      // NaN or Inf, a matrix that does not factorise
  kInternal,     // a bug in pare
};

// One type for everything a user can cause. The message names what, where, expected and got.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

// Throws Error with a formatted message.
template <typename... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace pare

// A broken invariant: a bug in pare, never something a user or a file can cause.
#define PARE_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::pare::check_failed(#condition, __FILE__, __LINE__))
