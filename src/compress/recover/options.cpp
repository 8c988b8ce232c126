#include "compress/recover/options.h"

#include <algorithm>

#include "base/error.h"
#include "compress/pass_options.h"

namespace pare {
namespace {

constexpr int64_t kMostTokens = int64_t{1} << 40;  // a training takes; sizes made of it fit into 64 bits

void require_one(const char* name, int64_t value) {
  if (value < 1) fail(ErrorCode::kUsage, "`{}` is {}, expected 1 or more", name, value);
}

void require_rate(const char* name, double value) {
  if (!(value >= 0.0 && value <= 1.0)) fail(ErrorCode::kUsage, "`{}` is {}, expected 0 to 1", name, value);
}

}  // namespace

const std::map<std::string, RecoverScope> kRecoverScopes = {{"model", RecoverScope::kModel},
                                                            {"stages", RecoverScope::kStages}};

int64_t RecoverOptions::batch(int64_t seqlen) const { return std::max<int64_t>(1, batch_tokens / seqlen); }
int64_t RecoverOptions::held_back(int64_t seqlen) const {
  return std::max<int64_t>(1, held_back_tokens / seqlen);
}

void validate(const RecoverOptions& options) {
  require_one("steps", options.steps);
  require_one("batch_tokens", options.batch_tokens);
  require_one("checks", options.checks);
  require_one("held_back_tokens", options.held_back_tokens);
  if (options.held_back_tokens > kMostTokens || options.batch_tokens > kMostTokens / options.steps)
    fail(ErrorCode::kUsage,
         "`steps` is {}, `batch_tokens` {}, `held_back_tokens` {}: expected no more than 2^40 tokens",
         options.steps, options.batch_tokens, options.held_back_tokens);
  require_rate("rate", options.rate);
  require_rate("code_rate", options.code_rate);
  require_rate("scale_rate", options.scale_rate);
  if (!(options.embedding_rate >= 0.0 && options.embedding_rate <= 10.0))
    fail(ErrorCode::kUsage, "`embedding_rate` is {}, expected 0 to 10", options.embedding_rate);
  if (!(options.average >= 0.0 && options.average < 1.0))
    fail(ErrorCode::kUsage, "`average` is {}, expected 0 or more and less than 1", options.average);
}

Json to_json(const RecoverOptions& options) {
  return {{"scope", name_of(kRecoverScopes, options.scope)},
          {"steps", options.steps},
          {"batch_tokens", options.batch_tokens},
          {"rate", options.rate},
          {"code_rate", options.code_rate},
          {"scale_rate", options.scale_rate},
          {"embedding_rate", options.embedding_rate},
          {"average", options.average},
          {"checks", options.checks},
          {"held_back_tokens", options.held_back_tokens}};
}

}  // namespace pare
