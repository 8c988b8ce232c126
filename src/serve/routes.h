// What is found where.
#pragma once

#include <boost/beast/core/ostream.hpp>  // what verb.hpp needs and does not include
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
  std::string_view path;  // without /v1
  boost::beast::http::verb method;
  Action action;
  bool open = false;  // to requests without the key
};

// A request's place, and what follows it: of kModel, the model's name.
struct Found {
  const Route* route = nullptr;  // null: there is nothing
  std::string rest = {};
};

// The route of a target such as "/v1/models/tiny?x=1". "/v1" may be left out, slashes may be doubled or stand
// at the end.
Found find_route(std::string_view target);

}  // namespace pare
