// Messages for people, on the standard error.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace pare {

// Makes the library's messages appear as plain lines "pare: …". A warning is shown once: a command may open
// the same file several times.
void show_messages();
// Shows warnings again from here on, because they are about something that happened again.
void repeat_warnings();
// Shows nothing but errors from here on.
void silence_messages();

// Writes "48 s", "12:07 min", "3:25 h".
std::string format_seconds(double seconds);

// Progress of a long loop, with the time left: one line kept up to date on a terminal, else a line now and
// then.
class Progress {
 public:
  // `already_done`: part of the count given to update() that was done before the clock started.
  explicit Progress(std::string what, int64_t already_done = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void update(int64_t done, int64_t total);

 private:
  using Clock = std::chrono::steady_clock;
  std::string what_;
  int64_t already_done_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point shown_ = start_;
};

}  // namespace pare
