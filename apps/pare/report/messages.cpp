#include "report/messages.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <mutex>
#include <set>

#include "base/log.h"
#include "report/flags.h"

namespace pare {
namespace {

constexpr auto kTerminalInterval = std::chrono::milliseconds(200);
constexpr auto kLineInterval = std::chrono::seconds(10);
constexpr const char* kClearLine = "\r\x1b[K";

struct State {
  bool silent = false;
  bool terminal = false;
  bool line_open = false;  // a progress line stands on the terminal
  bool repeats = false;
  std::set<std::string, std::less<>> warned;
};
State state;
std::mutex sink_mutex;  // a server's threads all have something to say

bool is_said(LogLevel level, std::string_view message) {
  return level == LogLevel::kWarning && !state.repeats && !state.warned.emplace(message).second;
}

void close_line() {
  if (state.line_open) fmt::print(stderr, "{}", kClearLine);
  state.line_open = false;
}

}  // namespace

std::string format_seconds(double seconds) {
  const auto s = std::llround(seconds);
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{}:{:02} min", s / 60, s % 60);
  return fmt::format("{}:{:02} h", s / 3600, s / 60 % 60);
}

void show_messages() {
  state.terminal = isatty(STDERR_FILENO) == 1;
  set_log_sink([](LogLevel level, std::string_view message) {
    const std::lock_guard lock(sink_mutex);
    if (is_said(level, message)) return;
    close_line();
    fmt::print(stderr, "pare: {}{}\n", level == LogLevel::kWarning ? "warning: " : "",
               with_known_flags(message));
  });
}

void repeat_warnings() {
  const std::lock_guard lock(sink_mutex);
  state.repeats = true;
  state.warned.clear();
}

void silence_messages() {
  state.silent = true;
  set_log_sink({});
}

Progress::Progress(std::string what, int64_t already_done)
    : what_(std::move(what)), already_done_(already_done) {}

Progress::~Progress() { close_line(); }

void Progress::update(int64_t done, int64_t total) {
  if (state.silent || done <= already_done_ || done >= total) return;
  const auto now = Clock::now();
  if (now - shown_ < (state.terminal ? Clock::duration(kTerminalInterval) : Clock::duration(kLineInterval)))
    return;
  shown_ = now;
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const double left = elapsed / static_cast<double>(done - already_done_) * static_cast<double>(total - done);
  const std::string line = fmt::format("pare: {} {}/{}, {} left", what_, done, total, format_seconds(left));
  fmt::print(stderr, "{}{}{}", state.terminal ? kClearLine : "", line, state.terminal ? "" : "\n");
  state.line_open = state.terminal;
}

}  // namespace pare
