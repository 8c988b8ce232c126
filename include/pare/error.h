/// Errors of the library.
#pragma once

#include <stdexcept>
#include <string>

namespace pare::api {

enum class ErrorCode {
  kUsage,        ///< The request itself makes no sense.
  kNotFound,     ///< A required file, tensor or key is missing.
  kIo,           ///< The operating system refused: unreadable, unwritable, disk full.
  kFormat,       ///< A file breaks the rules of its format.
  kUnsupported,  ///< The input is valid, but outside what pare does.
  kInvalid,      ///< A value outside its allowed range.
  kNumeric,      ///< NaN or infinity, or a matrix that does not factorise.
  kMemory,       ///< Memory ran out.
  kInternal,     ///< A bug in pare.
};

/// Type of every error that this library throws itself. Exceptions of callbacks pass through.
///
/// The message names what, where, expected and got. Options are named as the fields of the headers, between
/// backquotes: "`top_p` is 2, expected more than 0, at most 1".
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace pare::api
