#include "text/jinja/origin_string.h"

#include <algorithm>

namespace pare {

size_t JinjaString::run_of(size_t pos) const {
  constexpr size_t kSearchWork = 16;
  jinja_spend(kSearchWork);
  const auto run = std::upper_bound(runs_.begin(), runs_.end(), pos,
                                    [](size_t at, const Run& other) { return at < other.end; });
  return static_cast<size_t>(run - runs_.begin());
}

int32_t JinjaString::origin_at(size_t pos) const {
  if (text_.empty()) return kTemplateOrigin;
  if (runs_.empty()) return origin_;
  return runs_[std::min(run_of(pos), runs_.size() - 1)].origin;
}

void JinjaString::append(std::string_view text, int32_t origin) {
  constexpr size_t kAppendWork = 8;  // for each append, beside its bytes
  if (text.empty()) return;
  jinja_spend(text.size() + kAppendWork);
  if (text_.empty()) {
    origin_ = origin;
    runs_.clear();
  } else if (runs_.empty()) {
    if (origin != origin_) {
      runs_.push_back({text_.size(), origin_});
      runs_.push_back({text_.size() + text.size(), origin});
    }
  } else if (runs_.back().origin == origin) {
    runs_.back().end += text.size();
  } else {
    runs_.push_back({text_.size() + text.size(), origin});
  }
  text_ += text;
}

void JinjaString::append(const JinjaString& other) { append(other, 0, other.size()); }

void JinjaString::append(const JinjaString& other, size_t begin, size_t end) {
  if (begin >= end) return;
  const std::string_view text = other.text_;
  if (other.runs_.empty()) return append(text.substr(begin, end - begin), other.origin_);
  for (size_t run = other.run_of(begin); begin < end; ++run) {
    const size_t stop = std::min(end, other.runs_[run].end);
    append(text.substr(begin, stop - begin), other.runs_[run].origin);
    begin = stop;
  }
}

JinjaString JinjaString::slice(size_t begin, size_t end) const {
  JinjaString part;
  part.append(*this, begin, end);
  return part;
}

}  // namespace pare
