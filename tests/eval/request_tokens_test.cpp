#include "eval/request_tokens.h"

#include "support/byte_tokenizer.h"
#include "support/expect_error.h"

namespace pare {
namespace {

using Ids = std::vector<int32_t>;

ModelConfig config_of(int64_t max_positions = 100) {
  ModelConfig config;
  config.vocab_size = 300;
  config.max_positions = max_positions;
  config.bos = 1;
  config.eos = {2};
  return config;
}

void expect_tokens(const ScoredSequence& sequence, const Ids& ids, int64_t targets) {
  EXPECT_EQ(sequence.ids, ids);
  EXPECT_EQ(sequence.targets, targets);
}

TEST(RequestTokens, ContinuationIsWhatTheWholeHasBeyondTheContext) {
  const Tokenizer tokenizer = test::byte_tokenizer({{" ", "b"}, {"a", "c"}});
  expect_tokens(tokenize_request({"a", " b"}, tokenizer, config_of(), "x"), {'a', 256}, 1);
  expect_tokens(tokenize_request({"aa", " bb"}, tokenizer, config_of(), "x"), {'a', 'a', 256, 'b'}, 2);
  // The context alone is two ids, so is all but one of the whole's: the merged id stays with the context.
  expect_tokens(tokenize_request({"aa", "c!"}, tokenizer, config_of(), "x"), {'a', 257, '!'}, 1);
}

TEST(RequestTokens, SpaceAtTheEndOfTheContextIsScored) {
  const Tokenizer tokenizer = test::byte_tokenizer({{" ", "b"}});
  expect_tokens(tokenize_request({"a ", "b"}, tokenizer, config_of(), "x"), {'a', 256}, 1);
  expect_tokens(tokenize_request({"a \n", "!"}, tokenizer, config_of(), "x"), {'a', ' ', '\n', '!'}, 3);
}

TEST(RequestTokens, SpecialTokensAreAddedOnce) {
  const Tokenizer tokenizer = test::byte_tokenizer({}, {1});
  expect_tokens(tokenize_request({"a", "b"}, tokenizer, config_of(), "x"), {1, 'a', 'b'}, 1);
  expect_tokens(tokenize_request({"\x01z", "b"}, tokenizer, config_of(), "x"), {1, 'z', 'b'}, 1);
}

TEST(RequestTokens, AnEmptyContextIsTheBos) {
  const Tokenizer tokenizer = test::byte_tokenizer({}, {1});
  expect_tokens(tokenize_request({"", " b"}, tokenizer, config_of(), "x"), {1, ' ', 'b'}, 2);
  expect_tokens(tokenize_request({" ", "b"}, tokenizer, config_of(), "x"), {1, ' ', 'b'}, 2);
  expect_tokens(tokenize_request({"", "\x01z"}, tokenizer, config_of(), "x"), {1, 'z'}, 1);
  ModelConfig config = config_of();
  config.bos.reset();
  expect_tokens(tokenize_request({"", "b"}, tokenizer, config, "x"), {2, 'b'}, 1);
  config.eos.clear();
  EXPECT_PARE_ERROR(tokenize_request({"", "b"}, tokenizer, config, "x"), ErrorCode::kInvalid,
                    "x: the context");
}

TEST(RequestTokens, WhatIsTooLongLosesItsStart) {
  const Tokenizer tokenizer = test::byte_tokenizer();
  // The last id is only predicted: a context of three takes four.
  expect_tokens(tokenize_request({"abc", "d"}, tokenizer, config_of(3), "x"), {'a', 'b', 'c', 'd'}, 1);
  expect_tokens(tokenize_request({"abc", "de"}, tokenizer, config_of(3), "x"), {'b', 'c', 'd', 'e'}, 2);
  expect_tokens(tokenize_request({"abc", "def"}, tokenizer, config_of(3), "x"), {'c', 'd', 'e', 'f'}, 3);
  EXPECT_PARE_ERROR(tokenize_request({"abc", "defg"}, tokenizer, config_of(3), "x"), ErrorCode::kInvalid,
                    "x: a continuation of 4 tokens exceeds the model's context of 3");
}

TEST(RequestTokens, NothingToScoreIsAnError) {
  const Tokenizer tokenizer = test::byte_tokenizer({{"a", "b"}});
  EXPECT_PARE_ERROR(tokenize_request({"a", "b"}, tokenizer, config_of(), "x"), ErrorCode::kInvalid,
                    "x: no tokens are left for the continuation");
  EXPECT_PARE_ERROR(tokenize_request({"a", ""}, tokenizer, config_of(), "x"), ErrorCode::kInvalid,
                    "no tokens");
  ModelConfig config = config_of();
  config.vocab_size = 'b';
  EXPECT_PARE_ERROR(tokenize_request({"a", "c"}, tokenizer, config, "x"), ErrorCode::kInvalid,
                    "token id 99 is outside");
}

}  // namespace
}  // namespace pare
