// Stop strings in streamed text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pare {

// Passes text on, holding back what may be the beginning of a stop string, and cuts it where the first
// complete one begins: no part of a stop string is ever handed out, however the text is split.
class StopFilter {
 public:
  // No stop string may be empty.
  explicit StopFilter(std::vector<std::string> stops);
  // Returns text that can no longer belong to a stop string. After stopped(), always empty.
  std::string push(std::string_view text);
  bool stopped() const { return stopped_; }
  // Returns the text that was held back at the end.
  std::string finish();

 private:
  std::vector<std::string> stops_;
  std::string pending_;
  bool stopped_ = false;
};

}  // namespace pare
