#include "text/tokenizer/sentencepiece.h"

#include <gtest/gtest.h>

#include <bit>
#include <limits>

#include "base/json.h"
#include "base/mapped_file.h"
#include "support/expect_error.h"

namespace pare {
namespace {

using Ids = std::vector<int32_t>;

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
  return out;
}
std::string number(int field, uint64_t value) {
  return varint(static_cast<uint64_t>(field) << 3) + varint(value);
}
std::string bytes(int field, const std::string& value) {
  return varint(static_cast<uint64_t>(field) << 3 | 2) + varint(value.size()) + value;
}
std::string score(float value) {
  std::string out = varint(2 << 3 | 5);
  const auto bits = std::bit_cast<uint32_t>(value);
  for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(bits >> shift));
  return out;
}
std::string piece(const std::string& text, float value = 0.0f, int type = 1) {
  return bytes(1, bytes(1, text) + score(value) + number(3, static_cast<uint64_t>(type)));
}
const std::string kBpeTrainer = bytes(2, number(3, 2));
const std::string kNoNormalizer = bytes(3, number(4, 0));
const std::string kPieces = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3);

Tokenizer load(const std::string& model) {
  return Tokenizer(sentencepiece_spec(parse_sentencepiece_model(model).vocab));
}

TEST(SentencePiece, GivesTheIdsOfTheLibrary) {
  const std::string folder = PARE_GOLDEN_DIR "/tokenizer/";
  const Tokenizer tokenizer = load(read_file(folder + "sentencepiece/tokenizer.model", 1 << 20));
  const Json cases = parse_json(read_file(folder + "sentencepiece.cases.json", 1 << 20), "cases").at("cases");
  ASSERT_GT(cases.size(), 50u);
  for (const Json& item : cases)
    EXPECT_EQ(tokenizer.encode(item.at("text").get<std::string>(), {.parse_special = false}),
              item.at("ids").get<Ids>())
        << item.at("text");
}

TEST(SentencePiece, MergesTheBestScoreThenTheLeftmost) {
  const std::string chars = piece("a", -9) + piece("b", -9) + piece("c", -9) + piece("\u2581", -9);  // 3 to 6
  const Tokenizer tokenizer = load(kPieces + chars + piece("ab", -2) + piece("bc", -1) + piece("aa", -3) +
                                   piece("aaa", -4) + kBpeTrainer + kNoNormalizer);
  EXPECT_EQ(tokenizer.encode("abc"), (Ids{6, 3, 8}));
  // Both ways to make aaa are alike: the leftmost counts.
  EXPECT_EQ(tokenizer.encode("aaaaa"), (Ids{6, 9, 10}));
  EXPECT_EQ(tokenizer.encode("a<s>x"), (Ids{6, 3, 1, 6, 0}));
}

TEST(SentencePiece, ReadsTheIdsOfTheTemplate) {
  const SentencePieceModel absent = parse_sentencepiece_model(kPieces + kBpeTrainer + kNoNormalizer);
  EXPECT_EQ(absent.bos, 1);
  EXPECT_EQ(absent.eos, 2);
  const std::string trainer = bytes(2, number(3, 2) + number(41, UINT64_MAX) + number(42, 1));
  const SentencePieceModel given = parse_sentencepiece_model(kPieces + trainer + kNoNormalizer);
  EXPECT_EQ(given.bos, -1);
  EXPECT_EQ(given.eos, 1);
}

TEST(SentencePiece, DummyPrefixAndByteFallbackAreOptional) {
  const std::string model = kPieces + piece("a") + piece("\u2581") + kBpeTrainer;
  EXPECT_EQ(load(model + bytes(3, number(3, 0) + number(4, 0))).encode("a a"), (Ids{3, 4, 3}));
  EXPECT_EQ(load(model + piece("<0x0A>", 0, 6) + kNoNormalizer).encode("a\n"), (Ids{4, 3, 5}));
  EXPECT_EQ(load(model + kNoNormalizer).encode("a\n\n"), (Ids{4, 3, 0}));
}

// A control piece with the name of a byte is a byte only to the template, never to a user's text.
TEST(SentencePiece, BytesThatAreSpecialAreNotReadFromText) {
  const std::string bytes_of_two = piece("<0x0A>", 0, 3) + piece("<0x0B>", 0, 6);
  const Tokenizer tokenizer =
      load(kPieces + piece("a") + piece("\u2581") + bytes_of_two + kBpeTrainer + kNoNormalizer);
  EXPECT_EQ(tokenizer.encode("a\v", {.parse_special = false}), (Ids{4, 3, 6}));
  EXPECT_EQ(tokenizer.encode("a\n", {.parse_special = false}), (Ids{4, 3, 0}));
}

TEST(SentencePiece, NamesWhatItDoesNotDo) {
  const auto reject = [](const std::string& model, const char* message) {
    EXPECT_PARE_ERROR(load(model), ErrorCode::kUnsupported, message);
  };
  reject(kPieces, "Unigram");
  reject(kPieces + bytes(2, number(3, 1)) + kNoNormalizer, "Unigram");
  reject(kPieces + bytes(2, number(3, 4)) + kNoNormalizer, "word and character");
  reject(kPieces + bytes(2, number(3, 2) + number(24, 1)), "treat_whitespace_as_suffix");
  reject(kPieces + kBpeTrainer, "remove_extra_whitespaces");
  reject(kPieces + kBpeTrainer + bytes(3, number(4, 0) + bytes(2, "x")), "precompiled_charsmap");
  reject(kPieces + kBpeTrainer + bytes(3, number(4, 0) + number(5, 0)), "escape_whitespaces");
  reject(kPieces + piece(std::string(1025, 'a')) + kBpeTrainer + kNoNormalizer, "1025 bytes");
}

TEST(SentencePiece, RejectsMalformedFiles) {
  const auto reject = [](const std::string& model, const char* message) {
    EXPECT_PARE_ERROR(load(model), ErrorCode::kFormat, message);
  };
  const std::string rest = kBpeTrainer + kNoNormalizer;
  reject("", "no pieces");
  reject(std::string(11, '\xff'), "longer than 64 bits");
  reject(std::string("\x00\x01", 2), "field number 0");
  reject(varint(uint64_t{1} << 32), "field number");
  reject("\x0b", "wire type 3");
  reject(
      "\x0a\x05"
      "abc",
      "cut short");
  reject("\x0a", "cut short");
  reject("\x15\x01", "cut short");
  reject(varint(1 << 3 | 2) + varint(UINT64_MAX) + "x", "cut short");
  reject(number(1, 5), "a piece has wire type 0");
  reject(kPieces + piece("") + rest, "piece 3 is empty");
  reject(kPieces + bytes(1, score(0)) + rest, "piece 3 is empty");
  reject(kPieces + piece("\xff") + rest, "piece 3 is not UTF-8");
  reject(kPieces + piece("a", 0, 7) + rest, "type 7");
  reject(kPieces + bytes(1, bytes(1, "a") + number(2, 1)) + rest, "score has wire type 0");
  reject(kPieces + piece("a") + piece("a") + rest, "two ids");
  reject(kPieces + piece("a", std::numeric_limits<float>::quiet_NaN()) + rest, "NaN");
}

// Every prefix and every changed byte of a file gives an error or a tokenizer, never more.
TEST(SentencePiece, SurvivesDamage) {
  const std::string whole = kPieces + piece("a") + piece("b") + piece("ab") + kBpeTrainer + kNoNormalizer;
  const auto attempt = [](const std::string& model) {
    try {
      load(model).encode("ab a\xff");
    } catch (const Error& error) {
      EXPECT_NE(error.code(), ErrorCode::kInternal) << error.what();
    }
  };
  for (size_t i = 0; i < whole.size(); ++i) {
    attempt(whole.substr(0, i));
    for (const char value : {'\x00', '\x01', '\x7f', '\x80', '\xff'}) {
      std::string damaged = whole;
      damaged[i] = value;
      attempt(damaged);
    }
  }
}

}  // namespace
}  // namespace pare
