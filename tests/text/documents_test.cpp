#include "text/files/documents.h"

#include "base/hash.h"
#include "base/log.h"
#include "support/byte_tokenizer.h"
#include "support/expect_error.h"
#include "support/gzip.h"
#include "support/temp_dir.h"
#include "text/files/document_ids.h"

namespace pare {
namespace {

using Texts = std::vector<std::string>;

// What is warned of while `call` runs.
template <typename Call>
std::string warnings_of(Call&& call) {
  std::string warned;
  set_log_sink([&](LogLevel, std::string_view message) { warned += message; });
  call();
  set_log_sink({});
  return warned;
}

TEST(Documents, APlainTextIsOne) {
  for (const char* text : {"Ada sang.\n\nBram slept.\n", "{\\rm a} b", "{ braces }", "[1] a note", "[](link)",
                           "\"quoted\"", "[\"Yes,\" he said]", "{\n  braces\n}"}) {
    const Documents documents = parse_documents(text, "f");
    EXPECT_FALSE(documents.records);
    EXPECT_EQ(documents.texts, (Texts{text}));
    EXPECT_EQ(documents.source, "f");
    EXPECT_EQ(documents.sha256, sha256_hex(text));
  }
}

TEST(Documents, RecordsHoldOneEach) {
  const Texts texts = {"Ada\nsang.", "Bram slept."};
  for (const char* text :
       {"{\"text\": \"Ada\\nsang.\", \"url\": \"u\"}\n\n{\"text\": \"\"}\n{\"text\": null}\r\n{\"id\": 1, "
        "\"text\": \"Bram slept.\"}",
        "[{\"text\": \"Ada\\nsang.\"},\n {\"text\": \"Bram slept.\"}]",
        " {\"content\": \"Ada\\nsang.\"}\n{\"title\": \"t\", \"content\": \"Bram slept.\"}\n"}) {
    const Documents documents = parse_documents(text, "f");
    EXPECT_TRUE(documents.records);
    EXPECT_EQ(documents.texts, texts) << text;
  }
  // Where both are there, "text" counts.
  EXPECT_EQ(parse_documents(R"({"content": "a", "text": "b"})", "f").texts, (Texts{"b"}));
}

TEST(Documents, RecordsWithoutATextAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"prompt": "a", "answer": "b"})", "f:1: no field \"text\" or \"content\" among prompt, answer"},
      {"{\"text\": \"a\"}\n{\"title\": \"b\"}", "f:2: no field \"text\" or \"content\" among title"},
      {"{\"text\": \"a\"}\n{\"text\": \"b", "f:2: not valid JSON"},
      {"{\"text\": \"a\"}\nplain", "f:2: not valid JSON"},
      {"{\n  \"text\": \"a\"\n}\n{\n  \"text\": \"b\"\n}",
       "f:1: the record goes on behind the end of the line"},
      {"{\"text\": \"a\",\n \"id\": 1}", "f:1: the record goes on behind the end of the line"},
      {"{ \"data\": [\n{\"text\": \"a\"}]}", "f:1: the record goes on behind the end of the line"},
      {"[\"a\", \"b\"]", "f is a JSON list of something else than records"},
      {"[\n  [\"a\"]\n]", "f is a JSON list of something else than records"},
      {"{\"text\": \"a\"}\n[1]", "f:2: expected a JSON object, got array"},
      {R"({"text": ["a"]})", "f:1: \"text\" is not a text but array"},
      {R"([{"text": "a"}, {"text": 5}])", "f: record 2: \"text\" is not a text but number"},
      {R"([{"text": "a")", "f: not valid JSON"},
      {R"({"text": "a\u0000b"})", "f:1: \"text\" holds a NUL"},
      {"", "f holds no text"},
      {"[ ]\n", "f holds no text"},
      {" \n\t\r\n", "f holds no text"},
      {"{\"text\": \" \"}\n{\"text\": \"\"}", "f holds no text"}};
  for (const auto& [text, message] : cases) {
    SCOPED_TRACE(text);
    EXPECT_PARE_ERROR(parse_documents(text, "f"), ErrorCode::kFormat, message);
  }
}

TEST(Documents, EncodedDataIsNoText) {
  const std::string prose = "Ada the miller came back to the mill.\n";
  const std::string line(5000, 'Q');
  EXPECT_PARE_ERROR(parse_documents(prose + line, "f"), ErrorCode::kInvalid,
                    "99 % of it are runs of more than 1000 characters without white space");
  EXPECT_PARE_ERROR(parse_documents("{\"text\": \"" + line + "\"}", "f"), ErrorCode::kInvalid, "white space");
  std::string wrapped;
  for (int i = 0; i < 20; ++i) wrapped += std::string(76, 'x') + "\n";
  EXPECT_THAT(warnings_of([&] { parse_documents(wrapped, "f"); }),
              testing::HasSubstr("is it encoded data, not text?"));
  std::string chinese;  // has no white space either
  for (int i = 0; i < 2000; ++i) chinese += "漢字";
  std::string mostly_prose = line.substr(0, 1500);
  for (int i = 0; i < 100; ++i) mostly_prose += prose;
  EXPECT_EQ(warnings_of([&] {
              parse_documents(chinese, "f");
              parse_documents(mostly_prose, "f");
            }),
            "");
}

TEST(Documents, MarkupIsWarnedOf) {
  EXPECT_THAT(warnings_of([] { parse_documents("\n<!DOCTYPE HTML>\n<p>hello", "f"); }),
              testing::HasSubstr("f looks like a web page"));
  EXPECT_EQ(warnings_of([] { parse_documents("<s> a", "f"); }), "");
}

TEST(Documents, TablesAreNamed) {
  const std::pair<const char*, const char*> refused[] = {
      {"id,text\n1,a\n2,\"b, c\"\n",
       "f is no text but a table (CSV) of id, text: as lines of JSON its texts are "
       "read, with pandas: read_csv(FILE).to_json(OUT, orient=\"records\", lines=True)"},
      {"text\tlabel\r\na b\t0\r\nc d\t1\r\n",
       "a table (TSV) of text, label: as lines of JSON its texts are read, "
       "with pandas: read_csv(FILE, sep=\"\\t\")"},
      {"label;content\n0;a\n1;b", "a table (CSV) of label, content"},
      {",text\n0,\"a \"\"b\"\"\n\nc\"\n1,d\n", "a table (CSV) of , text"},
      {"text\n\"a, b\"\nc\n", "a table (CSV) of text"}};
  for (const auto& [text, message] : refused) {
    SCOPED_TRACE(text);
    EXPECT_PARE_ERROR(parse_documents(text, "f"), ErrorCode::kFormat, message);
  }
  EXPECT_THAT(warnings_of([] { parse_documents("name,age\nAda,31\nBram,40\n", "f"); }),
              testing::HasSubstr("f looks like a table (CSV) of name, age, which is taken as text"));
  // Only the start is looked at: the quoted record that it cuts is passed over.
  std::string table = "id,review\n1,a\n2,b\n3,\"";
  for (int i = 0; i < 50000; ++i) table += "so long\n";
  EXPECT_THAT(warnings_of([&] { parse_documents(table + "\"\n", "f"); }),
              testing::HasSubstr("of id, review"));
}

TEST(Documents, ProseIsNoTable) {
  for (const char* text :
       {"Row, row, row\nyour boat, gently, down\nthe stream, merrily, merrily\n",  // spaces behind commas
        "Text\n\nAda sang.\nBram slept.\n", "text\none\ntwo\n",                    // nothing quoted
        "apples,pears\nplums,\n\nand more, as ever\n",                             // no such lines
        "One,two\nthree,four\n",                                                   // too few
        "one,one\na,b\nc,d\n", "Hello,world!\na,b\nc,d\n", "a,b\n\"c\" said, d\ne,f\n", "a,b\n\"c,d\ne,f\n",
        "\tA tab\tin\nthe\tlines\tof\nan\told\ttext\n", "1,2\n3,4\n5,6\n"}) {
    SCOPED_TRACE(text);
    EXPECT_EQ(warnings_of([&] { parse_documents(text, "f"); }), "");
  }
}

TEST(Documents, FilesAreUnpacked) {
  const test::TempDir folder;
  const std::string lines = "{\"text\": \"a\"}\n{\"text\": \"b\"}\n";
  const Documents plain = read_documents(folder.file("a.jsonl", lines));
  const Documents packed = read_documents(folder.file("a.json.gz", test::gzip(lines)));
  EXPECT_EQ(packed.texts, plain.texts);
  EXPECT_EQ(packed.sha256, plain.sha256);
  EXPECT_EQ(packed.source, (folder / "a.json.gz").string());
}

const Documents kRecords = {{"ab", "c"}, true, "f", ""};
constexpr int32_t kEnd = 7;

TEST(DocumentIds, APlainTextIsEncodedAsItStands) {
  const Tokenizer tokenizer = test::byte_tokenizer({}, {1});
  const Documents plain = {{"ab"}, false, "f", ""};
  EXPECT_EQ(document_ids(tokenizer, plain, std::vector{kEnd}, false), (std::vector<int32_t>{'a', 'b'}));
  EXPECT_EQ(document_ids(tokenizer, plain, std::vector{kEnd}, true), (std::vector<int32_t>{1, 'a', 'b'}));
}

TEST(DocumentIds, RecordsAreParted) {
  const std::vector<int32_t> ends = {kEnd, 8};
  for (const bool plain_template : {false, true}) {
    EXPECT_EQ(document_ids(test::byte_tokenizer({}, {1}), kRecords, ends, plain_template),
              (std::vector<int32_t>{1, 'a', 'b', 1, 'c'}));
    EXPECT_EQ(document_ids(test::byte_tokenizer(), kRecords, ends, plain_template),
              (std::vector<int32_t>{'a', 'b', kEnd, 'c'}));
    EXPECT_EQ(document_ids(test::byte_tokenizer(), kRecords, {}, plain_template),
              (std::vector<int32_t>{'a', 'b', '\n', '\n', 'c'}));
  }
  // No merge crosses a border.
  EXPECT_EQ(document_ids(test::byte_tokenizer({{"b", "c"}}), kRecords, ends, true),
            (std::vector<int32_t>{'a', 'b', kEnd, 'c'}));
}

TEST(DocumentIds, ReadingEndsWhenThereAreEnough) {
  const Tokenizer tokenizer = test::byte_tokenizer();
  EXPECT_EQ(document_ids(tokenizer, kRecords, std::vector{kEnd}, false, 2), (std::vector<int32_t>{'a', 'b'}));
  EXPECT_EQ(document_ids(tokenizer, kRecords, std::vector{kEnd}, false, 3),
            (std::vector<int32_t>{'a', 'b', kEnd, 'c'}));
}

TEST(DocumentIds, TextThatTheTokenizerDoesNotKnow) {
  const Tokenizer tokenizer = test::byte_tokenizer({{"\xe6", "\xbc"}, {"\xe6\xbc", "\xa2"}});  // 漢
  const auto share = [&](const std::string& text) {
    return unknown_share(tokenizer, tokenizer.encode(text));
  };
  EXPECT_EQ(share("plain words\n"), 0.0);  // single letters are tokens
  EXPECT_EQ(share("漢漢"), 0.0);
  EXPECT_DOUBLE_EQ(share("漢字"), 0.75);
  EXPECT_EQ(unknown_share(tokenizer, {}), 0.0);
  EXPECT_EQ(warnings_of([&] { require_known_text(tokenizer, tokenizer.encode("字abcdef"), "f"); }), "");
  EXPECT_EQ(warnings_of([&] { require_known_text(tokenizer, tokenizer.encode("字ab"), "f"); }),
            "f: 60 % of its tokens are unknown or single bytes: the model hardly knows such text");
  EXPECT_PARE_ERROR(require_known_text(tokenizer, tokenizer.encode("字字"), "f"), ErrorCode::kInvalid,
                    "f: 100 % of its tokens are unknown or single bytes");
}

TEST(DocumentIds, UnknownTokensCount) {
  TokenizerSpec spec = test::byte_spec();
  spec.unknown = 'u';
  const Tokenizer tokenizer(std::move(spec));
  EXPECT_DOUBLE_EQ(unknown_share(tokenizer, std::vector<int32_t>{'u', 'a', 0xff, 'u'}), 0.75);
}

}  // namespace
}  // namespace pare
