// Errors that the OpenAI API has a name for.
#pragma once

#include <string>
#include <utility>

#include "base/error.h"

namespace pare {

class ApiError : public Error {
 public:
  // `api_code`, `parameter`: the API's name of the error, and the field of the request that it is about.
  ApiError(ErrorCode code, const std::string& message, std::string api_code, std::string parameter)
      : Error(code, message), api_code_(std::move(api_code)), parameter_(std::move(parameter)) {}

  const std::string& api_code() const { return api_code_; }
  const std::string& parameter() const { return parameter_; }

 private:
  std::string api_code_;
  std::string parameter_;
};

}  // namespace pare
