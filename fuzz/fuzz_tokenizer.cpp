// Two targets in one, told apart by the first byte: '{' is a tokenizer.json, anything else text: tokenizers
// with all 256 bytes must give it back, and normal form C must be its own.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "text/tokenizer/byte_alphabet.h"
#include "text/tokenizer/tokenizer.h"
#include "text/unicode/nfc.h"
#include "text/unicode/utf8.h"

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

// Characters with byte fallback, in the manner of SentencePiece.
pare::Tokenizer make_char_tokenizer(pare::PreTokenizer kind) {
  pare::TokenizerSpec spec;
  for (int byte = 0; byte < 256; ++byte) spec.vocab.push_back(fmt::format("<0x{:02X}>", byte));
  spec.vocab.insert(spec.vocab.end(),
                    {"\u2581", "a", "b", "\u00e9", "\u2581a", "ab", "\u2581\u2581", "b\u2581"});
  spec.merges = {{"\u2581", "a"}, {"a", "b"}, {"\u2581", "\u2581"}, {"b", "\u2581"}};
  spec.added = {{.text = "<s>", .id = 300, .special = true}};
  spec.pre_tokenizer = kind;
  spec.byte_fallback = true;
  return pare::Tokenizer(std::move(spec));
}

void check_nfc(std::string_view text) {
  std::string once;
  pare::append_nfc(text, once);
  PARE_CHECK(!pare::is_nfc(text) || once == text);
  std::string twice;
  pare::append_nfc(once, twice);
  PARE_CHECK(once == twice);
}

// Spaces may come back for what was written as their sign.
void round_trip_chars(const pare::Tokenizer& tokenizer, std::string_view text) {
  std::string expected;
  pare::append_normalized({{pare::NormalizerStep::Kind::kReplace, "\u2581", " "}}, text, true, expected);
  const auto ids = tokenizer.encode(text, {.parse_special = false});
  for (const int32_t id : ids) PARE_CHECK(!tokenizer.is_special(id));
  PARE_CHECK(tokenizer.decode(ids) == expected);
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
  static const pare::Tokenizer tokenizers[] = {
      make_tokenizer(pare::PreTokenizer::kGpt2), make_tokenizer(pare::PreTokenizer::kSmolLM),
      make_tokenizer(pare::PreTokenizer::kLlama3), make_tokenizer(pare::PreTokenizer::kQwen2),
      make_tokenizer(pare::PreTokenizer::kTekken)};
  static const pare::Tokenizer char_tokenizers[] = {make_char_tokenizer(pare::PreTokenizer::kWhole),
                                                    make_char_tokenizer(pare::PreTokenizer::kMetaspaceSplit)};
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (!input.starts_with('{')) {
    for (const auto& tokenizer : tokenizers) round_trip(tokenizer, input);
    for (const auto& tokenizer : char_tokenizers) round_trip_chars(tokenizer, input);
    check_nfc(input);
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
