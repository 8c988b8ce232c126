// Helpers to split texts and to join them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pare {

// Splits a text at separators: one more part than there are separators; parts may be empty.
inline std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    parts.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

// Lists words: "a", "a and b", "a, b and c".
inline std::string listed(const std::vector<std::string>& words) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " and " : ", ";
    text += words[i];
  }
  return text;
}

// The first of some names, for messages: "a, b", or "a, b, ..." of more.
class FirstNames {
 public:
  explicit FirstNames(int64_t shown) : shown_(shown) {}
  void add(std::string_view name) {
    if (count_++ < shown_) text_ += (text_.empty() ? "" : ", ") + std::string(name);
  }
  int64_t count() const { return count_; }  // number of all names
  std::string text() const { return text_ + (count_ > shown_ ? ", ..." : ""); }

 private:
  int64_t shown_;
  int64_t count_ = 0;
  std::string text_;
};

}  // namespace pare
