#include "report/output.h"

#include <cerrno>
#include <cstdio>
#include <system_error>

namespace pare {

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return;
  if (errno == EPIPE) throw OutputClosed{};
  fail(ErrorCode::kIo, "cannot write to the standard output: {}", std::generic_category().message(errno));
}

void print_json(const Json& json) { print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"); }

}  // namespace pare
