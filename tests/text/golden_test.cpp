// Tiny tokenizers of every kind against the ids that the `tokenizers` library gives
// (tools/goldens/make_tokenizer_goldens.py).
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/mapped_file.h"
#include "text/tokenizer/tokenizer.h"

namespace pare {
namespace {

std::string golden(const std::string& name) {
  return read_file(std::string(PARE_GOLDEN_DIR) + "/tokenizer/" + name, 1 << 20);
}

class TokenizerGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(TokenizerGolden, GivesTheIdsOfTheLibrary) {
  const std::string kind = GetParam();
  const auto tokenizer = Tokenizer::from_json(golden(kind + ".tokenizer.json"));
  const Json cases = parse_json(golden(kind + ".cases.json"), kind).at("cases");
  ASSERT_GT(cases.size(), 50u);
  for (const Json& item : cases) {
    const std::string text = item.at("text");
    const std::vector<int32_t> ids = item.at("ids");
    EXPECT_EQ(tokenizer.encode(text), ids) << text;
    const std::vector<int32_t> plain = item.value("plain", ids);
    EXPECT_EQ(tokenizer.encode(text, {.parse_special = false}), plain) << text;
    const std::vector<int32_t> with_template = item.value("template", ids);
    EXPECT_EQ(tokenizer.encode(text, {.add_special_tokens = true}), with_template) << text;
  }
}

TEST_P(TokenizerGolden, UserTextNeverBecomesASpecialToken) {
  const std::string kind = GetParam();
  const auto tokenizer = Tokenizer::from_json(golden(kind + ".tokenizer.json"));
  std::string text = "text";
  for (const AddedToken& token : tokenizer.spec().added) text += token.text + " " + token.text;
  const auto unknown = tokenizer.spec().unknown;
  for (const int32_t id : tokenizer.encode(text, {.parse_special = false}))
    EXPECT_TRUE(!tokenizer.is_special(id) || id == unknown) << tokenizer.token_bytes(id);
}

INSTANTIATE_TEST_SUITE_P(Kinds, TokenizerGolden,
                         ::testing::Values("gpt2", "smollm", "llama3", "prefix_space", "qwen2", "tekken",
                                           "prepend", "metaspace", "metaspace_split"));

}  // namespace
}  // namespace pare
