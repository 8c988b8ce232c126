#include "checkpoint/chat_info.h"

#include <gtest/gtest.h>

#include "base/atomic_file.h"
#include "base/log.h"
#include "checkpoint/load.h"
#include "checkpoint/save.h"
#include "support/expect_error.h"
#include "support/run_model.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

namespace pare::test {
namespace {

using Templates = std::map<std::string, std::string>;

class ChatInfoTest : public testing::Test {
 protected:
  ChatInfo read() const { return read_chat_info(folder_.path(), tokenizer_); }
  void more(const std::string& name, const std::string& text) const {
    std::filesystem::create_directory(folder_ / kMoreTemplatesFolder);
    write_file(folder_ / kMoreTemplatesFolder / name, text);
  }

  Tokenizer tokenizer_ = load_tokenizer(golden_folder("tiny-model"));
  TempDir folder_;
};

TEST_F(ChatInfoTest, SurvivesGguf) {
  const auto source = golden_folder("tiny-model");
  ChatInfo original = read_chat_info(source, tokenizer_);
  EXPECT_EQ(original.bos, 1);
  EXPECT_EQ(original.eos, 2);
  EXPECT_EQ(original.tokens.at("eos_token"), "<|im_end|>");
  EXPECT_NE(original.templates.at("default").find("add_generation_prompt"), std::string::npos);
  original.templates.emplace("tool_use", "A");
  save_gguf(load_model(source), tokenizer_, folder_ / "model.gguf", std::nullopt, original);
  const ChatInfo again = read_chat_info(folder_ / "model.gguf", tokenizer_);
  EXPECT_EQ(again.bos, original.bos);
  EXPECT_EQ(again.eos, original.eos);
  EXPECT_EQ(again.tokens.at("bos_token"), "<|im_start|>");
  EXPECT_EQ(again.tokens.at("eos_token"), "<|im_end|>");
  EXPECT_EQ(again.templates, original.templates);
}

TEST_F(ChatInfoTest, FilesGoBeforeTheConfig) {
  EXPECT_TRUE(read().templates.empty());
  folder_.file("chat_template.json", R"({"chat_template": "Z"})");
  EXPECT_EQ(read().templates, (Templates{{"default", "Z"}}));
  folder_.file(
      "tokenizer_config.json",
      R"({"chat_template": [{"name": "tool_use", "template": "A"}, {"name": "default", "template": "B"}]})");
  EXPECT_EQ(read().templates, (Templates{{"default", "B"}, {"tool_use", "A"}}));
  folder_.file("chat_template.jinja", "C");
  EXPECT_EQ(read().templates, (Templates{{"default", "C"}}));
  more("tool_use.jinja", "D");
  more("notes.txt", "E");
  EXPECT_EQ(read().templates, (Templates{{"default", "C"}, {"tool_use", "D"}}));
}

TEST_F(ChatInfoTest, TemplatesThatDisagreeAreSaid) {
  std::string said;
  set_log_sink([&](LogLevel, std::string_view message) { said += message; });
  folder_.file("tokenizer_config.json", R"({"chat_template": "A"})");
  folder_.file("chat_template.json", R"({"chat_template": "A"})");
  read();
  EXPECT_EQ(said, "");
  folder_.file("chat_template.json", R"({"chat_template": "B"})");
  read();
  EXPECT_EQ(said,
            "the chat templates of chat_template.json differ from tokenizer_config.json, which is used");
  said.clear();
  folder_.file("chat_template.jinja", "B");
  read();
  set_log_sink({});
  EXPECT_EQ(said,
            "the chat templates of tokenizer_config.json differ from chat_template.jinja, which is used");
}

TEST_F(ChatInfoTest, SpecialTokensByName) {
  folder_.file("config.json", R"({"bos_token_id": 1, "eos_token_id": [2, 0]})");
  EXPECT_EQ(read().tokens, (Templates{{"bos_token", "<|im_start|>"}, {"eos_token", "<|im_end|>"}}));
  folder_.file("tokenizer_config.json", R"({"bos_token": {"content": "<|im_end|>"}, "eos_token": null,
      "add_bos_token": true, "image_token": "<image>", "extra_special_tokens": {"audio_token": "<audio>"}})");
  folder_.file("special_tokens_map.json", R"({"bos_token": "x", "pad_token": "<pad>"})");
  const ChatInfo info = read();
  EXPECT_EQ(info.tokens, (Templates{{"bos_token", "<|im_end|>"},
                                    {"image_token", "<image>"},
                                    {"audio_token", "<audio>"},
                                    {"pad_token", "<pad>"}}));
  EXPECT_EQ(info.bos, 2);
  EXPECT_EQ(info.eos, std::nullopt);
}

TEST_F(ChatInfoTest, BrokenFilesAreNamed) {
  for (const char* config : {"[]", R"({"chat_template": 5})", R"({"chat_template": ["A"]})",
                             R"({"chat_template": [{"name": "default"}]})"}) {
    folder_.file("tokenizer_config.json", config);
    EXPECT_PARE_ERROR(read(), ErrorCode::kFormat, "tokenizer_config.json");
  }
}

}  // namespace
}  // namespace pare::test
