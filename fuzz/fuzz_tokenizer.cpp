// Two targets in one, told apart by the first byte: '{' is a tokenizer.json, anything else text for
// tokenizers with all 256 bytes, which must give it back.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace {

pare::Tokenizer make_tokenizer(pare::PreTokenizer kind) {
  pare::TokenizerSpec spec;
  for (int byte = 0; byte < 256; ++byte)
    spec.vocab.push_back(pare::to_alphabet(std::string(1, static_cast<char>(byte))));
  for (const auto& [left, right] :
       {std::pair{"a", "a"}, {"aa", "aa"}, {" ", " "}, {"\xe2", "\x82"}, {"'", "s"}}) {
    spec.merges.emplace_back(pare::to_alphabet(left), pare::to_alphabet(right));
    spec.vocab.push_back(spec.merges.back().first + spec.merges.back().second);
  }
  spec.added = {{.text = "<s>", .id = 300, .special = true},
                {.text = "<x y>", .id = 301, .normalized = true}};
  spec.pre_tokenizer = kind;
  return pare::Tokenizer(std::move(spec));
}

void round_trip(const pare::Tokenizer& tokenizer, std::string_view text) {
  const auto plain = tokenizer.encode(text, {.parse_special = false});
  for (const int32_t id : plain) PARE_CHECK(!tokenizer.is_special(id));
  PARE_CHECK(tokenizer.decode(plain) == text);
  PARE_CHECK(tokenizer.decode(tokenizer.encode(text), false) == text);

  std::string streamed;
  pare::StreamDecoder decoder(tokenizer);
  for (const int32_t id : plain) streamed += decoder.push(id);
  streamed += decoder.finish();
  std::string whole;
  pare::append_replacing_invalid(whole, text);
  PARE_CHECK(streamed == whole);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const pare::Tokenizer tokenizers[] = {make_tokenizer(pare::PreTokenizer::kGpt2),
                                               make_tokenizer(pare::PreTokenizer::kSmolLM),
                                               make_tokenizer(pare::PreTokenizer::kLlama3)};
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (!input.starts_with('{')) {
    for (const auto& tokenizer : tokenizers) round_trip(tokenizer, input);
    return 0;
  }
  try {
    const auto tokenizer = pare::Tokenizer::from_json(input);
    for (const bool parse_special : {true, false}) {
      const auto ids = tokenizer.encode(input, {.add_special_tokens = true, .parse_special = parse_special});
      tokenizer.decode(ids, false);
    }
  } catch (const pare::Error& error) {
    if (error.code() == pare::ErrorCode::kInternal) throw;
  }
  return 0;
}
