// Tokenizers and chat settings on their way through GGUF and back.
#include "checkpoint/copy_files.h"

#include <gtest/gtest.h>

#include "base/atomic_file.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "checkpoint/gguf_tokenizer.h"
#include "checkpoint/save.h"
#include "support/expect_error.h"
#include "support/run_model.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

namespace pare::test {
namespace {

std::string contents(const std::filesystem::path& path) { return read_file(path, 1 << 24); }

// tests/golden/tiny-model as GGUF, with its chat template.
class TinyGguf {
 public:
  TinyGguf() {
    const auto source = golden_folder("tiny-model");
    const Tokenizer tokenizer = load_tokenizer(source);
    save_gguf(load_model(source), tokenizer, path(), std::nullopt, read_chat_info(source, tokenizer));
  }
  std::filesystem::path path() const { return folder_ / "model.gguf"; }

 private:
  TempDir folder_;
};

TEST(Manifest, GoesWithTheModel) {
  const auto source = golden_folder("tiny-model");
  EXPECT_EQ(read_manifest(source), "");
  const TempDir folder;
  const std::string text = "{\"recipe\": \"caf\u00e9\"}\n";
  folder.file(kManifestFile, text);
  EXPECT_EQ(read_manifest(folder.path()), text);
  save_gguf(load_model(source), load_tokenizer(source), folder / "model.gguf", std::nullopt, {}, text);
  EXPECT_EQ(read_manifest(folder / "model.gguf"), text);
  // Earlier versions kept the whole path of the calibration text.
  const auto manifest_of = [](const char* text_source) {
    return Json({{"recipe", {{"calibration", {{"source", text_source}}}}}});
  };
  folder.file(kManifestFile, manifest_of("/home/x/a b.txt + self + c.txt").dump());
  EXPECT_EQ(parse_json(read_manifest(folder.path()), "manifest"), manifest_of("a b.txt + self + c.txt"));
  folder.file(kManifestFile, "{");
  EXPECT_PARE_ERROR(read_manifest(folder.path()), ErrorCode::kFormat, kManifestFile);
}

void expect_same_tokens(const Tokenizer& a, const Tokenizer& b) {
  std::string text = contents(golden_folder("text/test.txt"));
  text += "<|im_start|>user\n 12345 <|im_end|><|endoftext|> it's\r\n\xff\xfe \u6f22\u5b57";
  for (const bool template_too : {false, true})
    for (const bool special : {false, true})
      EXPECT_EQ(a.encode(text, {template_too, special}), b.encode(text, {template_too, special}));
  const auto ids = some_tokens(1000, 384);
  for (const bool skip : {false, true}) EXPECT_EQ(a.decode(ids, skip), b.decode(ids, skip));
}

TEST(GgufTokenizer, EncodesAlike) {
  const TinyGguf gguf;
  expect_same_tokens(load_tokenizer(golden_folder("tiny-model")), load_tokenizer(gguf.path()));
}

TEST(GgufTokenizer, KeepsTemplateAndSpareRows) {
  TokenizerSpec spec = load_tokenizer(golden_folder("tiny-model")).spec();
  spec.prefix = {1};
  spec.suffix = {2};
  const Tokenizer tokenizer(std::move(spec));
  const TempDir folder;
  Model model = make_tiny_model({.vocab = 390});
  model.config.bos = 1;
  model.config.eos = {2};
  save_gguf(model, tokenizer, folder / "model.gguf", std::nullopt);
  const Tokenizer again = load_tokenizer(folder / "model.gguf");
  expect_same_tokens(tokenizer, again);
  EXPECT_EQ(again.token_bytes(389), "");
  const GgufFile file = read_gguf(folder / "model.gguf");
  EXPECT_EQ(file.metadata.get_strings("tokenizer.ggml.tokens").at(389), "[PAD389]");
}

TEST(GgufTokenizer, NormalizersWithoutAWordForThem) {
  TokenizerSpec spec = load_tokenizer(golden_folder("tiny-model")).spec();
  spec.normalizer = {{NormalizerStep::Kind::kNfc, "", ""}};
  EXPECT_NO_THROW(gguf_tokenizer_entries(Tokenizer(spec), 384));
  spec.normalizer.push_back({NormalizerStep::Kind::kLowercase, "", ""});
  EXPECT_PARE_ERROR(gguf_tokenizer_entries(Tokenizer(spec), 384), ErrorCode::kUnsupported,
                    "the tokenizer's normalizer Lowercase cannot be said in a GGUF file");
}

TEST(GgufTokenizer, OthersAreNamed) {
  const auto read_with = [](const char* key, const std::string& value) {
    GgufFile file;
    file.name = "x.gguf";
    file.metadata.add("tokenizer.ggml.model", std::string(std::string(key) == "model" ? value : "gpt2"));
    file.metadata.add("tokenizer.ggml.pre", std::string(std::string(key) == "pre" ? value : "gpt-2"));
    file.metadata.add("tokenizer.ggml.tokens", GgufArray{std::vector<std::string>{"a", "b"}});
    file.metadata.add("tokenizer.ggml.merges", GgufArray{std::vector<std::string>{}});
    return tokenizer_from_gguf(file);
  };
  EXPECT_EQ(read_with("pre", "gpt-2").vocab_size(), 2);
  EXPECT_PARE_ERROR(read_with("model", "bert"), ErrorCode::kUnsupported, "\"bert\"");
  EXPECT_PARE_ERROR(read_with("pre", "klingon"), ErrorCode::kUnsupported, "\"klingon\"");
}

TEST(CopyTokenizerFiles, FromAFolderByteByByte) {
  const auto source = golden_folder("tiny-model");
  const TempDir folder;
  copy_tokenizer_files(source, folder.path());
  for (const char* name : {"tokenizer.json", "generation_config.json"})
    EXPECT_EQ(contents(folder / name), contents(source / name)) << name;
  EXPECT_FALSE(std::filesystem::exists(folder / "config.json"));
  EXPECT_FALSE(std::filesystem::exists(folder / "model.safetensors"));
}

// Else generate(**tokenizer(text)) of transformers 4 refuses token_type_ids.
TEST(CopyTokenizerFiles, NamesTheInputsOfTheCommonClass) {
  constexpr const char* kName = "tokenizer_config.json";
  const auto copied = [&](const std::string& text) {
    const TempDir from;
    from.file(kName, text);
    const TempDir to;
    copy_tokenizer_files(from.path(), to.path());
    return contents(to / kName);
  };
  const Json config = parse_json(copied(R"({"tokenizer_class": "PreTrainedTokenizerFast"})"), kName);
  EXPECT_EQ(config.at("model_input_names"), Json({"input_ids", "attention_mask"}));
  for (const char* kept :
       {R"({"tokenizer_class":  "GPT2Tokenizer"})",
        R"({"tokenizer_class":"PreTrainedTokenizerFast","model_input_names":["input_ids"]})"})
    EXPECT_EQ(copied(kept), kept);
}

// Older tokenizers of the hub say where they lay on the machine that saved them.
TEST(CopyTokenizerFiles, LeavesAbsolutePathsOut) {
  const TempDir from;
  from.file("tokenizer_config.json",
            R"({"bos_token": "<s>", "tokenizer_file": "/root/t.json", "name_or_path": "acme/tiny"})");
  const TempDir to;
  copy_tokenizer_files(from.path(), to.path());
  EXPECT_EQ(parse_json(contents(to / "tokenizer_config.json"), "config"),
            Json({{"bos_token", "<s>"}, {"name_or_path", "acme/tiny"}}));
}

TEST(CopyTokenizerFiles, AllTemplates) {
  const TempDir source;
  const TempDir folder;
  source.file("tokenizer.json", "{}");
  source.file("chat_template.jinja", "A");
  source.file("chat_template.json", "{}");
  std::filesystem::create_directory(source / kMoreTemplatesFolder);
  write_file(source / kMoreTemplatesFolder / "tool_use.jinja", "B");
  write_file(source / kMoreTemplatesFolder / "notes.txt", "C");
  copy_tokenizer_files(source.path(), folder.path());
  EXPECT_EQ(contents(folder / "chat_template.jinja"), "A");
  EXPECT_EQ(contents(folder / "chat_template.json"), "{}");
  EXPECT_EQ(contents(folder / kMoreTemplatesFolder / "tool_use.jinja"), "B");
  EXPECT_FALSE(std::filesystem::exists(folder / kMoreTemplatesFolder / "notes.txt"));
}

TEST(CopyTokenizerFiles, NamedTemplatesOfAGguf) {
  const auto source = golden_folder("tiny-model");
  const Tokenizer tokenizer = load_tokenizer(source);
  ChatInfo chat = read_chat_info(source, tokenizer);
  chat.templates.emplace("tool_use", "B");
  const TempDir gguf;
  save_gguf(load_model(source), tokenizer, gguf / "model.gguf", std::nullopt, chat);
  const TempDir folder;
  copy_tokenizer_files(gguf / "model.gguf", folder.path());
  EXPECT_EQ(read_chat_info(folder.path(), tokenizer).templates, chat.templates);
}

TEST(CopyTokenizerFiles, FromGguf) {
  const TinyGguf gguf;
  const TempDir folder;
  copy_tokenizer_files(gguf.path(), folder.path());
  expect_same_tokens(load_tokenizer(golden_folder("tiny-model")), load_tokenizer(folder.path()));
  const Json config = parse_json(contents(folder / "tokenizer_config.json"), "tokenizer_config.json");
  const Json original =
      parse_json(contents(golden_folder("tiny-model") / "tokenizer_config.json"), "tokenizer_config.json");
  for (const char* key : {"tokenizer_class", "bos_token", "eos_token", "chat_template", "model_max_length"})
    EXPECT_EQ(config.at(key), original.at(key)) << key;
  // Without it generate(**tokenizer(text)) of transformers 4 refuses token_type_ids.
  EXPECT_EQ(config.at("model_input_names"), Json({"input_ids", "attention_mask"}));
  const Json generation = parse_json(contents(folder / "generation_config.json"), "generation_config.json");
  EXPECT_EQ(generation.at("bos_token_id"), 1);
  EXPECT_EQ(generation.at("eos_token_id"), (Json{2, 0}));  // llama.cpp ends at "<|endoftext|>" too
}

}  // namespace
}  // namespace pare::test
