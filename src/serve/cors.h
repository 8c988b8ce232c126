// Pages of other origins that a browser lets read the answers (Cross-Origin Resource Sharing).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pare {

// Fields of a header, with their values.
using HttpFields = std::vector<std::pair<std::string, std::string>>;

class CorsPolicy {
 public:
  // Origins ("http://localhost:3000"), or "*" for all; none: no page of another origin. Throws kUsage for
  // what is neither.
  explicit CorsPolicy(std::vector<std::string> origins);

  // Fields for every answer to a request of this origin (empty: it has none).
  HttpFields fields(std::string_view origin) const;
  // Further fields for the answer to a preflight request; `wanted`: the header fields it asks for.
  HttpFields preflight_fields(std::string_view origin, std::string_view wanted) const;

 private:
  bool allows(std::string_view origin) const;

  std::vector<std::string> origins_;
  bool all_ = false;
};

}  // namespace pare
