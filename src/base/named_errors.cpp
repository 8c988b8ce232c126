#include "base/named_errors.h"

namespace pare {

bool names_path(std::string_view message, std::string_view path) {
  if (message.starts_with(path)) return true;
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  for (size_t at = message.find(path); at != std::string_view::npos; at = message.find(path, at + 1)) {
    const std::string_view behind = message.substr(at + path.size());
    if (behind.starts_with('/') || behind.starts_with(':')) return true;
  }
  return false;
}

}  // namespace pare
