#include "eval/request_tokens.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "eval/prompt_text.h"

namespace pare {
namespace {

// Token that stands for an empty context.
std::optional<int32_t> prefix_token(const ModelConfig& config) {
  if (config.bos) return config.bos;
  if (!config.eos.empty()) return config.eos.front();
  return std::nullopt;
}

std::vector<int32_t> encode(const Tokenizer& tokenizer, std::string_view text,
                            std::optional<int32_t> prefix) {
  const std::string written = prefix ? tokenizer.token_bytes(*prefix) : "";
  return tokenizer.encode(text, {.add_special_tokens = written.empty() || !text.starts_with(written)});
}

}  // namespace

ScoredSequence tokenize_request(const TaskRequest& request, const Tokenizer& tokenizer,
                                const ModelConfig& config, std::string_view what) {
  const std::optional<int32_t> prefix = prefix_token(config);
  const std::string whole = request.context + request.continuation;
  const std::string_view context = strip_end(request.context);
  ScoredSequence result;
  size_t context_ids = 1;
  if (context.empty()) {
    if (!prefix) fail(ErrorCode::kInvalid, "{}: the context is empty, and the model has no BOS token", what);
    result.ids = tokenizer.encode(whole);
    if (result.ids.empty() || result.ids.front() != *prefix) result.ids.insert(result.ids.begin(), *prefix);
  } else {
    result.ids = encode(tokenizer, whole, prefix);
    context_ids = encode(tokenizer, context, prefix).size();
  }
  if (context_ids == 0 || context_ids >= result.ids.size())
    fail(ErrorCode::kInvalid, "{}: no tokens are left for the {}", what,
         context_ids == 0 ? "context" : "continuation");
  result.targets = static_cast<int64_t>(result.ids.size() - context_ids);
  if (result.targets > config.max_positions)
    fail(ErrorCode::kInvalid, "{}: a continuation of {} tokens exceeds the model's context of {}", what,
         result.targets, config.max_positions);
  const auto room = static_cast<size_t>(config.max_positions) + 1;
  if (result.ids.size() > room)
    result.ids.erase(result.ids.begin(), result.ids.end() - static_cast<std::ptrdiff_t>(room));
  for (const int32_t id : result.ids)
    if (id < 0 || id >= config.vocab_size)
      fail(ErrorCode::kInvalid, "{}: token id {} is outside the model's vocabulary of {}", what, id,
           config.vocab_size);
  return result;
}

}  // namespace pare
