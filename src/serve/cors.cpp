#include "serve/cors.h"

#include <algorithm>

#include "base/error.h"

namespace pare {
namespace {

constexpr const char* kAllowedFields = "Authorization, Content-Type, X-API-Key";
constexpr const char* kSecondsKept = "86400";  // for which a browser keeps a preflight's answer

bool is_origin(std::string_view text) {
  const size_t scheme = text.find("://");
  return text == "null" || (scheme != std::string_view::npos && scheme > 0 && scheme + 3 < text.size() &&
                            text.find_first_of("/?# \t\r\n", scheme + 3) == std::string_view::npos);
}

}  // namespace

CorsPolicy::CorsPolicy(std::vector<std::string> origins) : origins_(std::move(origins)) {
  for (const std::string& origin : origins_) {
    all_ = all_ || origin == "*";
    if (origin != "*" && !is_origin(origin))
      fail(ErrorCode::kUsage, "`cors` is \"{}\", expected * or an origin such as http://localhost:3000",
           origin);
  }
}

bool CorsPolicy::allows(std::string_view origin) const {
  return all_ || std::find(origins_.begin(), origins_.end(), origin) != origins_.end();
}

HttpFields CorsPolicy::fields(std::string_view origin) const {
  HttpFields fields;
  if (origins_.empty()) return fields;
  if (!all_) fields.emplace_back("Vary", "Origin");
  if (origin.empty() || !allows(origin)) return fields;
  fields.emplace_back("Access-Control-Allow-Origin", all_ ? "*" : std::string(origin));
  fields.emplace_back("Access-Control-Expose-Headers", "Retry-After");
  return fields;
}

HttpFields CorsPolicy::preflight_fields(std::string_view origin, std::string_view wanted) const {
  if (origins_.empty() || origin.empty() || !allows(origin)) return {};
  return {{"Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS"},
          {"Access-Control-Allow-Headers", wanted.empty() ? kAllowedFields : std::string(wanted)},
          {"Access-Control-Max-Age", kSecondsKept}};
}

}  // namespace pare
