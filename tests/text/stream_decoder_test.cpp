#include <gtest/gtest.h>

#include "base/rng.h"
#include "support/byte_tokenizer.h"
#include "support/expect_error.h"
#include "text/tokenizer/tokenizer.h"
#include "text/unicode/utf8.h"

namespace pare {
namespace {

// All 256 bytes (id = byte) and a special token, 256.
Tokenizer bytes_tokenizer() {
  TokenizerSpec spec = test::byte_spec();
  spec.added = {{.text = "<s>", .id = 256, .special = true}};
  return Tokenizer(std::move(spec));
}

TEST(StreamDecoder, HoldsBackUntilACodePointIsWhole) {
  const Tokenizer tokenizer = bytes_tokenizer();
  StreamDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.push('a'), "a");
  EXPECT_EQ(decoder.push(0xe2), "");
  EXPECT_EQ(decoder.push(0x82), "");
  EXPECT_EQ(decoder.push(0xac), "\u20ac");
  EXPECT_EQ(decoder.push(0xe2), "");
  EXPECT_EQ(decoder.push('b'), "\ufffdb");
  EXPECT_EQ(decoder.push(256), "");
  EXPECT_EQ(decoder.push(0xf0), "");
  EXPECT_EQ(decoder.finish(), "\ufffd");
  EXPECT_EQ(decoder.finish(), "");
  EXPECT_EQ(StreamDecoder(tokenizer, false).push(256), "<s>");
  EXPECT_PARE_ERROR(decoder.push(257), ErrorCode::kInvalid, "257");
}

TEST(StreamDecoder, GivesTheSameTextHoweverTheBytesArrive) {
  const Tokenizer tokenizer = bytes_tokenizer();
  const int leads[] = {0x80, 0xbf, 0xc2, 0xe0, 0xe2, 0xed, 0xf0, 0xf4, 0xff, 'x', 0x9f, 0xa0};
  Rng rng(2);
  for (int round = 0; round < 5000; ++round) {
    StreamDecoder decoder(tokenizer);
    std::string bytes;
    std::string streamed;
    for (uint64_t n = rng.below(12); n > 0; --n) {
      const int byte = leads[rng.below(12)];
      bytes.push_back(static_cast<char>(byte));
      streamed += decoder.push(byte);
    }
    streamed += decoder.finish();
    std::string whole;
    append_replacing_invalid(whole, bytes);
    ASSERT_EQ(streamed, whole);
  }
}

}  // namespace
}  // namespace pare
