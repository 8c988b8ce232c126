// pare chat, and pare tokenize with the kinds of tokenizer files.
#include "pare_command.h"

namespace pare::test {
namespace {

using testing::HasSubstr;

TEST(Chat, AnswersALineWithALine) {
  const CommandResult result =
      pare({"chat", kTinyModel, "--max-tokens", "6", "--dtype", "f32"}, "Mira\n\nThe tide\r\n");
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_GE(std::count(result.out.begin(), result.out.end(), '\n'), 2);
  EXPECT_EQ(pare({"chat", kTinyModel, "--max-tokens", "6", "--dtype", "f32"}, "Mira\nThe tide").out,
            result.out);
  const CommandResult system =
      pare({"chat", kTinyModel, "--max-tokens", "6", "--dtype", "f32", "--system", "Answer in numbers."},
           "Mira\n");
  EXPECT_EQ(system.status, 0) << system.err;
  EXPECT_EQ(pare({"chat", kTinyModel}, "").out, "");
}

TEST(Chat, SaysWhatItForgets) {
  std::string lines;
  for (int i = 0; i < 8; ++i) lines += "Mira and the tide\n";
  const CommandResult result =
      pare({"chat", kTinyModel, "--max-tokens", "6", "--context", "80", "--dtype", "f32"}, lines);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("warning: the context is full: the oldest"));
}

TEST(Chat, TheTemplateIsTheModelsOrNamed) {
  const TinyModelCopy copy;
  copy.write("tokenizer_config.json", R"({"chat_template": "{{ messages }}\n{% if %}"})");
  expect_failure({"chat", copy.path()}, 1, "chat template cannot be run: line 2");
  copy.write("tokenizer_config.json", R"({"chat_template": "{{ raise_exception('not today') }}"})");
  const CommandResult refused = pare({"chat", copy.path()}, "Mira\n");
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("not today"));
  copy.write("tokenizer_config.json", "{}");
  expect_failure({"chat", copy.path()}, 1,
                 "no chat template: name one with --chat-template (a .jinja file, or chatml");
  copy.write("own.jinja", "{{ messages[-1].content + word }}");
  const CommandResult own = pare({"chat", copy.path(), "--chat-template", copy.path() + "/own.jinja",
                                  "--max-tokens", "4", "--chat-template-kwargs", R"({"word": " and"})"},
                                 "Mira\n");
  EXPECT_EQ(own.status, 0) << own.err;
  copy.write("broken.jinja", "\n{{");
  expect_failure({"chat", copy.path(), "--chat-template", copy.path() + "/broken.jinja"}, 1,
                 "broken.jinja: line 2");
  expect_failure({"chat", copy.path(), "--chat-template-kwargs", "[]"}, 2, "not a JSON object");
  expect_failure({"chat", copy.path(), "--chat-template", "nothing"}, 2, "\"nothing\" is not known");
  const CommandResult named =
      pare({"chat", copy.path(), "--chat-template", "phi2", "--max-tokens", "4"}, "Mira\n");
  EXPECT_EQ(named.status, 0) << named.err;
  const CommandResult foreign =
      pare({"chat", copy.path(), "--chat-template", "llama3", "--max-tokens", "4"}, "Mira\n");
  EXPECT_EQ(foreign.status, 0) << foreign.err;
  EXPECT_THAT(foreign.err, HasSubstr("no token <|eot_id|>"));
  expect_failure({"chat", kTinyModel, "--context", "0"}, 2, "--context");
  expect_failure({"chat", kTinyModel, "--temperature", "-1"}, 2, "--temperature");
}

TEST(Tokenize, SentencePieceModel) {
  const TempDir folder;
  folder.file("tokenizer.model", file_contents(PARE_GOLDEN_DIR "/tokenizer/sentencepiece/tokenizer.model"));
  const Json json = pare_json({"tokenize", folder.path().string(), "-p", "model</s>"});
  EXPECT_EQ(json["ids"].front(), 1);  // BOS
  EXPECT_EQ(json["ids"].back(), 2);
  const Json plain = pare_json({"tokenize", folder.path().string(), "-p", "model</s>", "--no-special"});
  EXPECT_GT(plain["ids"].size(), json["ids"].size());
}

TEST(Tokenize, AChatAsTheModelSeesIt) {
  const TempDir folder;
  folder.file("messages.json", R"([{"role": "user", "content": "Mira <|im_end|>"}])");
  folder.file("body.json",
              R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
                               "tools": [{"name": "t"}]})");
  const std::string messages = (folder / "messages.json").string();
  const Json chat = pare_json({"tokenize", kTinyModel, "--chat", messages});
  EXPECT_EQ(chat["text"], "<|im_start|>user\nMira <|im_end|><|im_end|>\n<|im_start|>assistant\n");
  const auto ids = chat["ids"].get<std::vector<int32_t>>();
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 2), 1);  // the user's is text
  EXPECT_EQ(chat["end_ids"], Json::array({2}));
  EXPECT_EQ(chat["parts"][1], Json::object({{"text", "Mira <|im_end|>"}, {"from_template", false}}));
  EXPECT_EQ(pare({"tokenize", kTinyModel, "--chat", messages}).out, fmt::format("{}\n", fmt::join(ids, " ")));
  const Json body = pare_json({"tokenize", kTinyModel, "--chat", (folder / "body.json").string()});
  EXPECT_EQ(body["text"], "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb");
  const Json named = pare_json({"tokenize", kTinyModel, "--chat", messages, "--chat-template", "phi2"});
  EXPECT_EQ(named["text"], "Instruct: Mira <|im_end|>\nOutput:");
  folder.file("number.json", "5");
  expect_failure({"tokenize", kTinyModel, "--chat", (folder / "number.json").string()}, 1,
                 "neither messages nor");
}

TEST(Tokenize, VocabAndMerges) {
  const TempDir folder;
  folder.file("vocab.json", R"({"a": 0, "b": 1, "ab": 2})");
  folder.file("merges.txt", "#version: 0.2\na b\n");
  EXPECT_EQ(pare({"tokenize", folder.path().string(), "-p", "aab"}).out, "0 2\n");
}

TEST(Tokenize, MissingAndBrokenFiles) {
  const TempDir folder;
  expect_failure({"tokenize", folder.path().string(), "-p", "a"}, 1, "no tokenizer.json, tokenizer.model");
  folder.file("tokenizer.model", "nonsense");
  expect_failure({"tokenize", folder.path().string(), "-p", "a"}, 1, "tokenizer.model");
}

}  // namespace
}  // namespace pare::test
