// Table of the server's paths and methods.
#pragma once

#include <boost/beast/core/ostream.hpp>  // verb.hpp needs it and does not include it
#include <boost/beast/http/verb.hpp>
#include <string>
#include <string_view>

namespace pare {

enum class Action {
  kPage,
  kIcon,
  kHealth,
  kVersion,
  kMetrics,
  kModels,
  kModel,
  kTokenize,
  kDetokenize,
  kCompletion,
  kChat,
};

struct Route {
  std::string_view path;  // path without /v1
  boost::beast::http::verb method;
  Action action;
  bool open = false;  // open to requests without the key
};

// Place of a request, and the rest of its path: for kModel, the model's name.
struct Found {
  const Route* route = nullptr;  // null: there is nothing
  std::string rest = {};
};

// The route of a target such as "/v1/models/tiny?x=1". "/v1" may be left out, slashes may be doubled or stand
// at the end.
Found find_route(std::string_view target);

}  // namespace pare
