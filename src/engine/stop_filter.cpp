#include "engine/stop_filter.h"

#include <algorithm>

#include "base/error.h"

namespace pare {
namespace {

// Returns the length of the longest suffix of `text` that begins `stop` but is not all of it.
size_t held_back(std::string_view text, std::string_view stop) {
  for (size_t n = std::min(text.size(), stop.size() - 1); n > 0; --n)
    if (text.ends_with(stop.substr(0, n))) return n;
  return 0;
}

}  // namespace

StopFilter::StopFilter(std::vector<std::string> stops) : stops_(std::move(stops)) {
  for (const std::string& stop : stops_) PARE_CHECK(!stop.empty());
}

std::string StopFilter::push(std::string_view text) {
  if (stopped_) return {};
  pending_ += text;
  size_t ready = std::string::npos;
  for (const std::string& stop : stops_) ready = std::min(ready, pending_.find(stop));
  if (ready != std::string::npos) {
    stopped_ = true;
  } else {
    size_t held = 0;
    for (const std::string& stop : stops_) held = std::max(held, held_back(pending_, stop));
    ready = pending_.size() - held;
  }
  std::string out = pending_.substr(0, ready);
  pending_.erase(0, ready);
  return out;
}

std::string StopFilter::finish() {
  if (stopped_) return {};
  stopped_ = true;
  return std::exchange(pending_, {});
}

}  // namespace pare
