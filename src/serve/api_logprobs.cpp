#include "serve/api_logprobs.h"

#include <algorithm>
#include <iterator>

#include "text/unicode/utf8.h"

namespace pare {
namespace {

// A model may have more rows than its tokenizer has tokens: such ids have no bytes.
std::string_view bytes_of(const Tokenizer& tokenizer, int32_t id) {
  return id < tokenizer.vocab_size() ? std::string_view(tokenizer.token_bytes(id)) : std::string_view();
}

// Returns the bytes as text, with U+FFFD for what is not UTF-8.
std::string text_of(std::string_view bytes) {
  std::string text;
  append_replacing_invalid(text, bytes);
  return text;
}

// Names a token so that tokens that are not UTF-8 stay apart from one another.
std::string name_of(std::string_view bytes) {
  std::string text = text_of(bytes);
  if (text == bytes) return text;
  std::string name = "bytes:";
  for (const char byte : bytes)
    fmt::format_to(std::back_inserter(name), "\\x{:02x}", static_cast<unsigned char>(byte));
  return name;
}

int64_t characters(std::string_view utf8) {
  return std::count_if(utf8.begin(), utf8.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

Json chat_token(const Tokenizer& tokenizer, int32_t id, const Json& logprob) {
  const std::string_view bytes = bytes_of(tokenizer, id);
  Json list = Json::array();
  for (const char byte : bytes) list.push_back(static_cast<unsigned char>(byte));
  return {{"token", text_of(bytes)}, {"logprob", logprob}, {"bytes", std::move(list)}};
}

// Several tokens may have one name: the most probable one, which comes first, stands for them.
Json top_by_name(const Tokenizer& tokenizer, const ScoredToken& token) {
  Json top = Json::object();
  for (const TokenLogprob& other : token.top)
    top.emplace(name_of(bytes_of(tokenizer, other.id)), other.logprob);
  // The chosen token is always told, be it among the most probable ones or not.
  top.emplace(name_of(bytes_of(tokenizer, token.id)), *token.logprob);
  return top;
}

}  // namespace

Json completion_logprobs(const Tokenizer& tokenizer, std::span<const ScoredToken> tokens, int64_t& offset) {
  Json names = Json::array();
  Json logprobs = Json::array();
  Json tops = Json::array();
  Json offsets = Json::array();
  for (const ScoredToken& token : tokens) {
    const std::string_view bytes = bytes_of(tokenizer, token.id);
    names.push_back(name_of(bytes));
    logprobs.push_back(token.logprob ? Json(*token.logprob) : Json());
    tops.push_back(token.logprob ? top_by_name(tokenizer, token) : Json());
    offsets.push_back(offset);
    offset += characters(text_of(bytes));
  }
  return {{"tokens", std::move(names)},
          {"token_logprobs", std::move(logprobs)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

Json chat_logprobs(const Tokenizer& tokenizer, std::span<const ScoredToken> tokens) {
  Json content = Json::array();
  for (const ScoredToken& token : tokens) {
    Json entry = chat_token(tokenizer, token.id, token.logprob ? Json(*token.logprob) : Json());
    entry["top_logprobs"] = Json::array();
    for (const TokenLogprob& other : token.top)
      entry["top_logprobs"].push_back(chat_token(tokenizer, other.id, other.logprob));
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

}  // namespace pare
