#include "text/tokenizer/tokenizer.h"
#include "text/unicode/utf8.h"

namespace pare {

std::string StreamDecoder::push(int32_t id) {
  const std::string& bytes = tokenizer_.token_bytes(id);
  std::string text;
  if (skip_special_ && tokenizer_.is_special(id)) return text;
  pending_ += bytes;
  const size_t whole = pending_.size() - truncated_tail(pending_);
  append_replacing_invalid(text, std::string_view(pending_).substr(0, whole));
  pending_.erase(0, whole);
  return text;
}

std::string StreamDecoder::finish() {
  std::string text;
  append_replacing_invalid(text, pending_);
  pending_.clear();
  return text;
}

}  // namespace pare
