// Text that remembers where each of its bytes came from.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/meter.h"

namespace pare {

// The origin of a template's own text and of variables that are as trusted as it. Other origins are the
// caller's numbers.
inline constexpr int32_t kTemplateOrigin = -1;

// Writing and copying spends the current JinjaMeter's work.
class JinjaString {
 public:
  JinjaString() = default;
  explicit JinjaString(std::string text, int32_t origin = kTemplateOrigin)
      : text_(std::move(text)), origin_(origin) {}
  ~JinjaString() = default;
  JinjaString(const JinjaString& other) { append(other); }
  JinjaString& operator=(const JinjaString& other) { return *this = JinjaString(other); }
  JinjaString(JinjaString&&) noexcept = default;
  JinjaString& operator=(JinjaString&&) noexcept = default;

  const std::string& text() const { return text_; }
  size_t size() const { return text_.size(); }
  bool empty() const { return text_.empty(); }

  // The origin of the byte at `pos`; of the last byte where pos is the size, kTemplateOrigin where there is
  // none.
  int32_t origin_at(size_t pos) const;
  // The bytes [begin, end), with end <= size().
  JinjaString slice(size_t begin, size_t end) const;

  void append(std::string_view text, int32_t origin = kTemplateOrigin);
  void append(const JinjaString& other);
  void append(const JinjaString& other, size_t begin, size_t end);

  // Calls visit(begin, end, origin) for each part of one origin, in order.
  template <typename Visit>
  void for_each_run(Visit&& visit) const {
    if (runs_.empty()) {
      if (!text_.empty()) visit(size_t{0}, text_.size(), origin_);
      return;
    }
    size_t begin = 0;
    for (const Run& run : runs_) {
      visit(begin, run.end, run.origin);
      begin = run.end;
    }
  }
  // Bytes of memory that hold this text.
  size_t footprint() const { return text_.capacity() + runs_.capacity() * sizeof(Run); }

 private:
  struct Run {
    size_t end;
    int32_t origin;
  };
  size_t run_of(size_t pos) const;

  std::string text_;
  int32_t origin_ = kTemplateOrigin;  // origin of all bytes while runs_ is empty
  std::vector<Run> runs_;             // ascending ends, the last one is size(); neighbours differ
};

}  // namespace pare
