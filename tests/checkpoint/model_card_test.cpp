// What goes on with a model beside its weights: licence, name, card.
#include "checkpoint/model_card.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/mapped_file.h"
#include "checkpoint/carried_files.h"
#include "checkpoint/front_matter.h"
#include "support/expect_error.h"
#include "support/run_model.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

namespace pare::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kCard = R"(---
license: other
license_name: tiny-community
license_link: LICENSE
language:
- en
- "no"
base_model: acme/tiny-base
tags: [chat, pare]
model-index:
- name: x
---
# Tiny
)";

std::string contents(const std::filesystem::path& path) { return read_file(path, 1 << 24); }

std::string front(const std::string& block) { return "---\n" + block + "\n---\n"; }

TEST(FrontMatter, PlainValuesAreRead) {
  const FrontMatter found = read_front_matter(kCard, "card");
  EXPECT_THAT(found.at("license"), ElementsAre("other"));
  EXPECT_THAT(found.at("language"), ElementsAre("en", "no"));
  EXPECT_THAT(found.at("tags"), ElementsAre("chat", "pare"));
  EXPECT_FALSE(found.contains("model-index"));
  EXPECT_THAT(read_front_matter("\xef\xbb\xbf---\r\nlicense: mit\r\n---\r\n", "card").at("license"),
              ElementsAre("mit"));
  for (const char* none : {"", "# Title\n", "---\nlicense: mit\n", "---\n---\n", "text\n---\na: b\n---\n"})
    EXPECT_TRUE(read_front_matter(none, "card").empty()) << none;
}

TEST(FrontMatter, OthersAreNamed) {
  EXPECT_PARE_ERROR(read_front_matter(front("a: [b"), "card"), ErrorCode::kFormat, "card: the front matter");
  EXPECT_PARE_ERROR(read_front_matter(front("- a"), "card"), ErrorCode::kFormat, "is not a map");
  EXPECT_PARE_ERROR(read_front_matter(front("a: " + std::string(1 << 20, 'x')), "card"), ErrorCode::kFormat,
                    "at most 262144");
  EXPECT_PARE_ERROR(read_front_matter(front("a: " + std::string(100000, '[')), "card"), ErrorCode::kFormat,
                    "card");
}

TEST(FrontMatter, ScalarsReadBack) {
  for (const char* value :
       {"apache-2.0", "no", "on", "1.5", "a: b", "line\nbreak", "caf\u00e9", "- x", "#", "'"})
    EXPECT_THAT(read_front_matter(front("key: " + yaml_scalar(value)), "card").at("key"), ElementsAre(value));
  EXPECT_EQ(yaml_scalar("apache-2.0"), "apache-2.0");
  EXPECT_EQ(yaml_scalar("no"), "\"no\"");
}

TEST(About, OfAFolder) {
  const TempDir folder;
  folder.file("README.md", kCard);
  const ModelAbout about = read_about(folder.path());
  EXPECT_EQ(about.name, folder.path().filename().string());
  EXPECT_EQ(about.license_name, "tiny-community");
  EXPECT_THAT(origins_of(about), ElementsAre("acme/tiny-base"));
  // A card that cannot be read keeps nobody from compressing the model.
  folder.file("README.md", front("a: [b"));
  EXPECT_EQ(read_about(folder.path()).license, "");
  EXPECT_THAT(origins_of(read_about(folder.path())), ElementsAre(folder.path().filename().string()));
}

TEST(About, OfASnapshotInTheHubsCache) {
  const TempDir cache;
  const auto folder = cache / "models--acme--tiny/snapshots/0123abc";
  std::filesystem::create_directories(folder);
  const ModelAbout about = read_about(folder);
  EXPECT_EQ(about.name, "tiny");
  EXPECT_THAT(origins_of(about), ElementsAre("acme/tiny"));
}

// A path that somebody took for a model's id is not published.
TEST(About, PathsBecomeNames) {
  const TempDir folder;
  folder.file("README.md", front("base_model: /home/somebody/models/tiny base"));
  EXPECT_THAT(read_about(folder.path()).base_models, ElementsAre("tiny-base"));
}

TEST(About, GoesThroughGgufAndBack) {
  const TempDir folder;
  folder.file("README.md", kCard);
  const auto entries = general_entries(folder.path());
  const Tokenizer tokenizer = load_tokenizer(golden_folder("tiny-model"));
  TinyModelOptions options;
  options.vocab = tokenizer.vocab_size();
  save_gguf(make_tiny_model(options), tokenizer, folder / "x.gguf", std::nullopt, {}, {}, entries);
  const ModelAbout before = read_about(folder.path());
  const ModelAbout after = read_about(folder / "x.gguf");
  EXPECT_EQ(after.name, before.name);
  EXPECT_EQ(after.license, "other");
  EXPECT_EQ(after.license_name, before.license_name);
  EXPECT_EQ(after.license_link, before.license_link);
  EXPECT_EQ(after.languages, before.languages);
  EXPECT_EQ(after.tags, before.tags);
  EXPECT_EQ(after.base_models, before.base_models);
  // Another file made of it says the same.
  EXPECT_EQ(general_entries(folder / "x.gguf"), entries);
}

TEST(About, TextsGoThroughAFolderAndBack) {
  const std::vector<GgufEntry> entries = {
      {"general.type", std::string("model")},        {"general.name", std::string("Tiny: one")},
      {"general.author", std::string("Ada")},        {"general.organization", std::string("Acme")},
      {"general.version", std::string("1.0")},       {"general.description", std::string("a\n# b")},
      {"general.finetune", std::string("Instruct")}, {"general.basename", std::string("Tiny")},
      {"general.size_label", std::string("135M")}};
  const TempDir folder;
  const Tokenizer tokenizer = load_tokenizer(golden_folder("tiny-model"));
  TinyModelOptions options;
  options.vocab = tokenizer.vocab_size();
  save_gguf(make_tiny_model(options), tokenizer, folder / "x.gguf", std::nullopt, {}, {}, entries);
  const auto back = [&](const char* name, const Json& manifest) {
    std::filesystem::create_directory(folder / name);
    write_documents(folder / "x.gguf", folder / name, {.manifest = manifest});
    return general_entries(folder / name);
  };
  EXPECT_EQ(back("converted", Json()), entries);
  // What is compressed has another size.
  for (const GgufEntry& entry : back("compressed", Json::object()))
    EXPECT_NE(entry.key, "general.size_label");
}

// The card of a mere conversion names the model itself as what it was made of.
TEST(About, AConversionIsNotMadeOfItself) {
  const TempDir folder;
  folder.file("README.md", front("model_name: Tiny\nmodel_organization: Acme\nbase_model: Tiny"));
  for (const GgufEntry& entry : general_entries(folder.path()))
    EXPECT_FALSE(entry.key.starts_with("general.base_model")) << entry.key;
}

TEST(CarriedFiles, LettersOfAnyCase) {
  const TempDir from;
  for (const char* name :
       {"readme.md", "LICENSE", "License-2.txt", "NOTICE.txt", "USE_POLICY.md", "model.py"})
    from.file(name, name);
  const TempDir to;
  EXPECT_THAT(carry_documents(from.path(), to.path()),
              ElementsAre("LICENSE", "License-2.txt", "NOTICE.txt", kOriginalCardFile, "USE_POLICY.md"));
  EXPECT_EQ(contents(to / kOriginalCardFile), "readme.md");
  EXPECT_FALSE(std::filesystem::exists(to / "model.py"));
  // What pare writes for `to` is not the original's card when it goes on from there.
  to.file(kCardFile, "pare's");
  const TempDir next;
  carry_documents(to.path(), next.path());
  EXPECT_EQ(contents(next / kOriginalCardFile), "readme.md");
  EXPECT_FALSE(std::filesystem::exists(next / kCardFile));
}

CardFacts facts() {
  CardFacts facts;
  facts.original = {.name = "Tiny", .license = "apache-2.0", .base_models = {"acme/tiny"}, .tags = {"chat"}};
  facts.manifest = parse_json(R"({"recipe": {"method": "sparsify", "options": {"pattern": "2:4"},
      "calibration": {"source": "book.txt", "nsamples": 4}, "seed": 7},
      "before": {"parameters": 200, "bytes": 400}, "errors": [], "fallbacks": ["x"],
      "linears": {"2:4": 2, "dense": 26},
      "sparsity": [{"pattern": "2:4", "relative_error": 0.25}, {"pattern": "2:4", "relative_error": 0.75}],
      "rotated linears": [{"relative_error": 0.5}]})",
                              "test");
  facts.size = {.parameters = 100, .bytes = 300};
  return facts;
}

TEST(ModelCard, SaysWhatWasDone) {
  const std::string card = model_card(facts());
  const FrontMatter front = read_front_matter(card, "card");
  EXPECT_THAT(front.at("base_model"), ElementsAre("acme/tiny"));
  EXPECT_THAT(front.at("license"), ElementsAre("apache-2.0"));
  EXPECT_THAT(front.at("tags"), ElementsAre("pare", "compressed", "chat"));
  EXPECT_THAT(front.at("library_name"), ElementsAre("transformers"));
  EXPECT_THAT(front.at("pipeline_tag"), ElementsAre("text-generation"));
  for (const char* part : {"# Tiny\n", "1. sparsify: `pattern` 2:4\n", "`source` book.txt", "Seed 7.",
                           "| parameters | 200 | 100 | 50.0 % |", "| bytes | 400 | 300 | 75.0 % |",
                           "- 2 linears keep 2:4 weights", "- 2 sparse linears: ",
                           "0.5000 on average, 0.7500 at most", "- 1 rotated linears: relative output error",
                           "- 1 steps did not go as planned", "AutoModelForCausalLM.from_pretrained"})
    EXPECT_THAT(card, HasSubstr(part));
  EXPECT_THAT(card, Not(HasSubstr("trust_remote_code")));
}

TEST(ModelCard, SaysWhetherItWasTrained) {
  CardFacts trained = facts();
  EXPECT_THAT(model_card(trained), HasSubstr("without training"));
  trained.manifest["recipe"]["training"] = {{"nsamples", 9}};
  EXPECT_THAT(model_card(trained), Not(HasSubstr("without training")));
  EXPECT_THAT(model_card(trained), HasSubstr("Training: `nsamples` 9."));
  EXPECT_THAT(model_card(trained), HasSubstr("1. sparsify: `pattern` 2:4\n"));
}

TEST(ModelCard, SaysWhenItsCodeIsNeeded) {
  CardFacts own = facts();
  own.own_code = true;
  EXPECT_THAT(model_card(own), HasSubstr("dtype=\"auto\", trust_remote_code=True)"));
  own.format = StorageFormat::kSparse24Bitmask;
  EXPECT_THAT(model_card(own), HasSubstr("compressed-tensors 0.9 to 0.14"));
  own.manifest = nullptr;
  EXPECT_THAT(model_card(own), Not(HasSubstr("## Recipe")));
}

// A manifest is text from a file.
TEST(ModelCard, OddManifestsDoNoHarm) {
  for (const char* text :
       {"[]", "1", R"({"recipe": 3, "before": [], "sparsity": {}, "errors": [1]})",
        R"({"recipe": {"passes": [1, {"method": ["a"]}]}, "sparsity": [{"pattern": 1}]})"}) {
    CardFacts odd = facts();
    odd.manifest = parse_json(text, "test");
    odd.original.name = "a\n---\nb";
    EXPECT_THAT(model_card(odd), HasSubstr("# a --- b\n")) << text;
  }
}

}  // namespace
}  // namespace pare::test
