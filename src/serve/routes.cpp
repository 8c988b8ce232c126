#include "serve/routes.h"

#include <algorithm>
#include <charconv>
#include <iterator>

namespace pare {

namespace http = boost::beast::http;

namespace {

constexpr std::string_view kModelPrefix = "/models/";

constexpr Route kRoutes[] = {
    {"/", http::verb::get, Action::kPage, true},
    {"/favicon.ico", http::verb::get, Action::kIcon, true},
    {"/health", http::verb::get, Action::kHealth, true},
    {"/version", http::verb::get, Action::kVersion},
    {"/metrics", http::verb::get, Action::kMetrics},
    {"/models", http::verb::get, Action::kModels},
    {kModelPrefix, http::verb::get, Action::kModel},
    {"/tokenize", http::verb::post, Action::kTokenize},
    {"/detokenize", http::verb::post, Action::kDetokenize},
    {"/completions", http::verb::post, Action::kCompletion},
    {"/chat/completions", http::verb::post, Action::kChat},
};

// Slashes side by side are one, and none stands at the end.
std::string plain_path(std::string_view path) {
  std::string plain;
  for (const char c : path)
    if (c != '/' || !plain.ends_with('/')) plain += c;
  if (plain.size() > 1 && plain.ends_with('/')) plain.pop_back();
  return plain;
}

// %XX as the byte it means.
std::string decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    const char* digits = text.data() + i + 1;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

Found find_route(std::string_view target) {
  std::string path = plain_path(target.substr(0, target.find('?')));
  if (path.starts_with("/v1/")) path.erase(0, 3);
  const auto is_here = [&](std::string_view place) {
    return std::find_if(std::begin(kRoutes), std::end(kRoutes),
                        [&](const Route& route) { return route.path == place; });
  };
  if (path.starts_with(kModelPrefix))
    return {is_here(kModelPrefix), decoded(path.substr(kModelPrefix.size()))};
  const Route* found = is_here(path);
  return {found == std::end(kRoutes) ? nullptr : found};
}

}  // namespace pare
