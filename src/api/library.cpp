#include "pare/library.h"

#include "api/guard.h"
#include "base/log.h"
#include "base/parallel.h"
#include "base/version.h"

namespace pare::api {

ErrorCode public_code(pare::ErrorCode code) {
  switch (code) {
    case pare::ErrorCode::kUsage:
      return ErrorCode::kUsage;
    case pare::ErrorCode::kNotFound:
      return ErrorCode::kNotFound;
    case pare::ErrorCode::kIo:
      return ErrorCode::kIo;
    case pare::ErrorCode::kFormat:
      return ErrorCode::kFormat;
    case pare::ErrorCode::kUnsupported:
      return ErrorCode::kUnsupported;
    case pare::ErrorCode::kInvalid:
      return ErrorCode::kInvalid;
    case pare::ErrorCode::kNumeric:
      return ErrorCode::kNumeric;
    case pare::ErrorCode::kInternal:
      break;
  }
  return ErrorCode::kInternal;
}

std::string_view version() { return pare::version(); }

void set_threads(int count) {
  guarded([&] { set_thread_count(count); });
}

void set_message_sink(MessageSink sink) {
  if (!sink) return set_log_sink({});
  set_log_sink([sink = std::move(sink)](LogLevel level, std::string_view message) {
    sink(level == LogLevel::kWarning ? MessageLevel::kWarning : MessageLevel::kInfo, message);
  });
}

}  // namespace pare::api
