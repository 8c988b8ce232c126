#include "base/keyed_hash.h"

#include <gtest/gtest.h>

#include <string>

namespace pare {
namespace {

// The vectors of the paper's appendix and of its reference program: key 00 01 … 0f, texts 00 01 02 ….
TEST(Siphash, GivesThePublishedHashes) {
  std::string text;
  const auto hash = [&] { return siphash(0x0706050403020100, 0x0f0e0d0c0b0a0908, text); };
  EXPECT_EQ(hash(), 0x726fdb47dd0e0e31);
  for (char i = 0; i < 15; ++i) text.push_back(i);
  EXPECT_EQ(hash(), 0xa129ca6149be45e5);
}

TEST(KeyedHash, IsOfTheTextAndOfNothingElse) {
  const std::string text = "messages";
  EXPECT_EQ(keyed_hash(text), keyed_hash(std::string("messages")));
  EXPECT_NE(keyed_hash(text), keyed_hash("message"));
  EXPECT_NE(keyed_hash(text), siphash(0, 0, text));
}

}  // namespace
}  // namespace pare
