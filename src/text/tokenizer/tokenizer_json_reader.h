// Helpers that the readers of tokenizer.json share.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "text/tokenizer/tokenizer.h"

namespace pare::tokenizer_json_reader {

inline constexpr const char* kWhat = "tokenizer.json";

template <typename... Args>
[[noreturn]] void unsupported(fmt::format_string<Args...> format, Args&&... args) {
  fail(ErrorCode::kUnsupported, "{}: pare does not read the {}", kWhat,
       fmt::format(format, std::forward<Args>(args)...));
}

// Member `key`, or null when it is absent or null.
const Json* find(const Json& object, const char* key);
// Throws kFormat when the member is absent or of another type.
const Json& member(const Json& object, const char* key, Json::value_t type);
bool flag(const Json& object, const char* key, bool absent = false);
std::string type_of(const Json& part);
// A Sequence as the list of its parts; any other part as a list of itself; none as an empty list.
// Sequences inside it are taken apart too.
std::vector<const Json*> parts_of(const Json* part, const char* list_key);

// The text of a pattern that is not a regex; `part` holds it.
std::string literal_pattern(const Json& part);

// When a Metaspace puts a space first: its prepend_scheme, or what add_prefix_space said before there was
// one.
std::string metaspace_scheme(const Json& part);

// The parts around the model. The pre-tokenizer must be read before the decoder.
void read_normalizer(const Json& root, TokenizerSpec& spec);
void read_pre_tokenizer(const Json& root, TokenizerSpec& spec);
void read_decoder(const Json& root, TokenizerSpec& spec);

}  // namespace pare::tokenizer_json_reader

namespace pare {

// The pre_tokenizer of a tokenizer.json.
Json pre_tokenizer_json(const TokenizerSpec& spec);

// {"token": id}; throws kFormat naming `what`.
void read_vocab_json(const Json& vocab, const char* what, TokenizerSpec& spec);

}  // namespace pare
