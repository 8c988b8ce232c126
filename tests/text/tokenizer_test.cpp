#include "text/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "base/rng.h"
#include "support/byte_tokenizer.h"
#include "support/cpu_clock.h"
#include "support/expect_error.h"

namespace pare {
namespace {

using test::byte_spec;

using Ids = std::vector<int32_t>;

// Two to the k letters for k up to 8.
TokenizerSpec doubling_spec(char letter) {
  std::vector<std::pair<std::string, std::string>> merges;
  for (size_t half = 1; half <= 128; half *= 2)
    merges.emplace_back(std::string(half, letter), std::string(half, letter));
  return byte_spec(std::move(merges));
}

TEST(Tokenizer, MergesByRankThenFromTheLeft) {
  const Tokenizer tokenizer(byte_spec({{"b", "c"}, {"a", "b"}, {"a", "a"}, {"aa", "a"}}));
  EXPECT_EQ(tokenizer.encode("abc"), (Ids{'a', 256}));
  EXPECT_EQ(tokenizer.encode("abb"), (Ids{257, 'b'}));
  EXPECT_EQ(tokenizer.encode("aaaaa"), (Ids{258, 259}));
}

TEST(Tokenizer, TheSameMergeAgainCountsLast) {
  auto spec = byte_spec({{"a", "b"}, {"b", "c"}});
  EXPECT_EQ(Tokenizer(spec).encode("abc"), (Ids{256, 'c'}));
  spec.merges.push_back(spec.merges[0]);
  EXPECT_EQ(Tokenizer(spec).encode("abc"), (Ids{'a', 257}));
}

TEST(Tokenizer, LongWordsTakeNearlyLinearTime) {
  const Tokenizer tokenizer(doubling_spec('a'));
  const test::CpuClock clock;
  const Ids ids = tokenizer.encode(std::string(1 << 20, 'a'));
  EXPECT_EQ(ids, Ids((1 << 20) / 256, 263));
  // 0.3 s; a quadratic merge needs a quarter of an hour. The bound leaves room for sanitizers and busy
  // machines.
  EXPECT_LT(clock.seconds(), 60);
}

TEST(Tokenizer, AnyBytesSurviveEncodingAndDecoding) {
  auto spec = byte_spec({{"a", "b"}, {"\xe2", "\x82"}, {" ", " "}, {"\n", "\n"}});
  spec.added = {{.text = "<s>", .id = 260, .special = true},
                {.text = "<x y>", .id = 262, .normalized = true}};
  Rng rng(1);
  for (const auto kind :
       {PreTokenizer::kGpt2, PreTokenizer::kSmolLM, PreTokenizer::kLlama3, PreTokenizer::kTekken}) {
    spec.pre_tokenizer = kind;
    const Tokenizer tokenizer(spec);
    for (int round = 0; round < 2000; ++round) {
      std::string text;
      for (uint64_t n = rng.below(40); n > 0; --n) {
        const char* pieces[] = {"ab", " ", "\n", "<s>", "<x y>", "\xe2\x82\xac", "\xe2\x82", "1"};
        if (rng.below(2) == 0)
          text += pieces[rng.below(8)];
        else
          text.push_back(static_cast<char>(rng.below(256)));
      }
      ASSERT_EQ(tokenizer.decode(tokenizer.encode(text), false), text);
      ASSERT_EQ(tokenizer.decode(tokenizer.encode(text, {.parse_special = false})), text);
    }
  }
}

TEST(Tokenizer, SpecialTokensThatMergesReachAreKeptOutOfUserText) {
  auto spec = byte_spec({{"e", "n"}, {"en", "d"}});
  spec.added = {{.text = "end", .id = 257, .special = true}};
  for (const bool ignore_merges : {false, true}) {
    spec.ignore_merges = ignore_merges;
    const Tokenizer tokenizer(spec);
    EXPECT_EQ(tokenizer.encode("end"), (Ids{257}));
    EXPECT_EQ(tokenizer.encode("end", {.parse_special = false}), (Ids{256, 'd'}));
    EXPECT_EQ(tokenizer.encode("end"), (Ids{257}));  // the two do not share remembered words
  }
}

TEST(Tokenizer, PartsAreOneTextWhoseForeignPartsAreNeverSpecial) {
  auto spec = byte_spec({{" ", "a"}, {"e", "n"}, {"en", "d"}});
  spec.added = {{.text = "<s>", .id = 300, .special = true}, {.text = "end", .id = 258, .special = true}};
  const Tokenizer tokenizer(spec);
  const auto encode = [&](std::vector<TextPart> parts) { return tokenizer.encode_parts(parts, {}); };
  EXPECT_EQ(encode({{"<s>x ", true}, {"a<s>", false}, {"<s>", true}}),
            (Ids{300, 'x', 256, '<', 's', '>', 300}));  // merged across the border
  EXPECT_EQ(encode({{"<", true}, {"s>", false}}), (Ids{'<', 's', '>'}));
  EXPECT_EQ(encode({{"end", true}, {"end", false}, {"", false}}), (Ids{258, 257, 'd'}));
  EXPECT_EQ(encode({}), Ids());
}

TEST(Tokenizer, ManyPartsTakeLinearTime) {
  auto spec = byte_spec({});
  spec.added = {{.text = "<s>", .id = 300, .special = true}};
  const Tokenizer tokenizer(spec);
  std::vector<TextPart> parts;
  Ids expected;
  for (int i = 0; i < 200'000; ++i) {
    parts.insert(parts.end(), {{"<s>", true}, {"a", false}});
    expected.insert(expected.end(), {300, 'a'});
  }
  const test::CpuClock clock;
  EXPECT_EQ(tokenizer.encode_parts(parts, {}), expected);
  EXPECT_LT(clock.seconds(), 5.0 * test::kSlowdown);  // 0.1 s
}

// A character vocabulary with the space sign.
TokenizerSpec char_spec() {
  TokenizerSpec spec;
  spec.vocab = {"<unk>", "\u2581", "a", "b", "\u2581a", "ab", "<0x0A>", "<s>"};
  spec.merges = {{"\u2581", "a"}, {"a", "b"}};
  spec.added = {{.text = "<s>", .id = 7, .special = true}};
  spec.pre_tokenizer = PreTokenizer::kWhole;
  spec.byte_fallback = true;
  spec.unknown = 0;
  spec.normalizer = {{NormalizerStep::Kind::kPrepend, "", "\u2581"},
                     {NormalizerStep::Kind::kReplace, " ", "\u2581"}};
  spec.strip_leading_space = true;
  return spec;
}

TEST(Tokenizer, CharactersWithoutATokenBecomeTheirBytesOrUnknown) {
  const Tokenizer tokenizer(char_spec());
  EXPECT_EQ(tokenizer.encode("ab"), (Ids{4, 3}));
  EXPECT_EQ(tokenizer.encode(" ab\nc"), (Ids{1, 4, 3, 6, 0}));
  EXPECT_EQ(tokenizer.encode("b\xff"
                             "b"),
            (Ids{1, 3, 0, 3}));
  EXPECT_EQ(tokenizer.decode({4, 3, 6, 4}), "ab\n a");
  EXPECT_EQ(tokenizer.token_bytes(4), " a");
  EXPECT_EQ(tokenizer.encode(""), Ids());
}

TEST(Tokenizer, TextThatGoesOnGetsNoSpace) {
  EXPECT_EQ(Tokenizer(char_spec()).encode("a<s>a", {.continues = true}), (Ids{2, 7, 4}));
  auto spec = char_spec();
  spec.normalizer.clear();
  spec.pre_tokenizer = PreTokenizer::kMetaspace;
  for (const PrefixSpace when : {PrefixSpace::kFirst, PrefixSpace::kAlways}) {
    spec.prefix_space = when;
    const int32_t behind = when == PrefixSpace::kAlways ? 4 : 2;
    EXPECT_EQ(Tokenizer(spec).encode("a<s>a"), (Ids{4, 7, behind}));
    EXPECT_EQ(Tokenizer(spec).encode("a<s>a", {.continues = true}), (Ids{2, 7, behind}));
    EXPECT_EQ(Tokenizer(spec).encode("<s>a"), (Ids{7, behind}));
  }
}

// Words are cut out for speed where no merge can cross; a phrase in the vocabulary moves the cuts.
TEST(Tokenizer, CutsNeverChangeWhatMerges) {
  auto spec = char_spec();
  spec.vocab.insert(spec.vocab.end(), {"b\u2581", "b\u2581a", "\u2581\u2581"});
  spec.merges.insert(spec.merges.begin(), {{"b", "\u2581"}, {"b\u2581", "a"}, {"\u2581", "\u2581"}});
  const Tokenizer tokenizer(spec);
  EXPECT_EQ(tokenizer.encode("a b a"), (Ids{4, 1, 9}));
  EXPECT_EQ(tokenizer.encode("a   a"), (Ids{4, 10, 4}));
}

TEST(Tokenizer, LongTextWithoutSpacesTakesNearlyLinearTime) {
  TokenizerSpec spec;
  spec.vocab = {"<unk>", "\u2581"};
  for (size_t length = 1; length <= 256; length *= 2) spec.vocab.emplace_back(length, 'a');
  for (size_t half = 1; half <= 128; half *= 2)
    spec.merges.emplace_back(std::string(half, 'a'), std::string(half, 'a'));
  spec.pre_tokenizer = PreTokenizer::kMetaspace;
  const Tokenizer tokenizer(spec);
  const test::CpuClock clock;
  EXPECT_EQ(tokenizer.encode(std::string(1 << 20, 'a')), Ids((1 << 20) / 256, 10));
  EXPECT_EQ(tokenizer.encode(std::string(1 << 20, ' ')), Ids(1 << 20, 1));
  EXPECT_LT(clock.seconds(), 60);  // 0.4 s; quadratic merging would need a quarter of an hour
}

TEST(Tokenizer, DecodeLeavesOutSpecialTokensWhenAsked) {
  auto spec = byte_spec();
  spec.added = {{.text = "<s>", .id = 256, .special = true}, {.text = "<t>", .id = 258}};
  const Tokenizer tokenizer(spec);
  EXPECT_EQ(tokenizer.vocab_size(), 259);
  EXPECT_EQ(tokenizer.decode({256, 'a', 258}), "a<t>");
  EXPECT_EQ(tokenizer.decode({256, 'a', 258}, false), "<s>a<t>");
  EXPECT_EQ(tokenizer.decode({257}), "");  // a hole
  EXPECT_EQ(tokenizer.token_id("<t>"), 258);
  EXPECT_EQ(tokenizer.token_id("\u0120"), ' ');
  EXPECT_EQ(tokenizer.token_id("nothing"), std::nullopt);
  EXPECT_EQ(tokenizer.token_bytes(' '), " ");
  EXPECT_TRUE(tokenizer.is_special(256));
  EXPECT_FALSE(tokenizer.is_special(258));
  EXPECT_PARE_ERROR(tokenizer.decode({259}), ErrorCode::kInvalid, "259");
  EXPECT_PARE_ERROR(tokenizer.decode({-1}), ErrorCode::kInvalid, "-1");
}

TEST(Tokenizer, BytesWithoutATokenBecomeUnknownOrNothing) {
  TokenizerSpec spec;
  spec.vocab = {"<unk>", "a"};
  EXPECT_EQ(Tokenizer(spec).encode("xya"), (Ids{1}));
  spec.unknown = 0;
  EXPECT_EQ(Tokenizer(spec).encode("xya"), (Ids{0, 0, 1}));
  spec.fuse_unknown = true;
  EXPECT_EQ(Tokenizer(spec).encode("xyaz"), (Ids{0, 1, 0}));
}

TEST(Tokenizer, SeveralThreadsMayEncode) {
  const Tokenizer tokenizer(doubling_spec('a'));
  std::string text;
  for (size_t n = 1; n < 300; ++n) text += std::string(n % 37, 'a') + " b" + std::to_string(n);
  const Ids expected = tokenizer.encode(text);
  std::vector<Ids> results(4);
  std::vector<std::thread> threads;
  for (Ids& result : results) threads.emplace_back([&] { result = tokenizer.encode(text); });
  for (std::thread& thread : threads) thread.join();
  for (const Ids& result : results) EXPECT_EQ(result, expected);
}

TEST(Tokenizer, RejectsPartsThatContradictEachOther) {
  const auto reject = [](const std::function<void(TokenizerSpec&)>& spoil, ErrorCode code,
                         const char* message) {
    auto spec = byte_spec({{"a", "b"}});
    spec.added = {{.text = "<s>", .id = 257, .special = true}};
    spoil(spec);
    EXPECT_PARE_ERROR(Tokenizer{spec}, code, message);
  };
  reject([](auto& s) { s.vocab.push_back("ab"); }, ErrorCode::kFormat, "two ids, 256 and 257");
  reject([](auto& s) { s.merges.emplace_back("b", "c"); }, ErrorCode::kFormat, "merge 1 needs \"bc\"");
  reject([](auto& s) { s.merges.emplace_back("", "a"); }, ErrorCode::kFormat, "merge 1 needs \"\"");
  reject([](auto& s) { s.added[0].id = 5; }, ErrorCode::kFormat, "id 5 is both");
  reject([](auto& s) { s.added[0].id = -1; }, ErrorCode::kFormat, "id -1");
  reject([](auto& s) { s.added[0].id = INT32_MAX; }, ErrorCode::kFormat, "id 2147483647");
  reject([](auto& s) { s.added[0].text = "ab"; }, ErrorCode::kFormat, "two ids, 256 and 257");
  reject([](auto& s) { s.added[0].text.clear(); }, ErrorCode::kFormat, "empty");
  reject([](auto& s) { s.added.push_back(s.added[0]); }, ErrorCode::kFormat, "id 257 is both");
  reject([](auto& s) { s.prefix = {258}; }, ErrorCode::kFormat, "prefix id 258");
  reject([](auto& s) { s.suffix = {-1}; }, ErrorCode::kFormat, "suffix id -1");
  reject([](auto& s) { s.unknown = 258; }, ErrorCode::kFormat, "unknown token id 258");
  reject([](auto& s) { s.vocab.resize(Tokenizer::kMaxVocab + 1); }, ErrorCode::kUnsupported,
         "1048577 tokens");
  reject([](auto& s) { s.byte_fallback = true; }, ErrorCode::kUnsupported, "byte_fallback");
  reject(
      [](auto& s) {
        s.normalizer = {{NormalizerStep::Kind::kReplace, "", "x"}};
      },
      ErrorCode::kFormat, "replaces an empty text");
  reject(
      [](auto& s) {
        s.pre_tokenizer = PreTokenizer::kLlama3;
        s.prefix_space = PrefixSpace::kAlways;
      },
      ErrorCode::kUnsupported, "add_prefix_space");
}

}  // namespace
}  // namespace pare
