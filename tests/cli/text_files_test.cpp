// Text files for --ppl and --calib.
#include "cli/pare_command.h"
#include "support/gzip.h"

namespace pare::test {
namespace {

const std::string kCalibrationText = PARE_GOLDEN_DIR "/text/calibration.txt";

// The paragraphs of a text as lines of JSON, each a document, with fields beside the text.
std::string as_records(const std::string& text) {
  std::string lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find("\n\n", at), text.size());
    if (const std::string part = text.substr(at, end - at); !part.empty())
      lines += Json({{"text", part}, {"url", "https://example.org"}}).dump() + "\n";
    at = end + 2;
  }
  return lines;
}

class TextFiles : public testing::Test {
 protected:
  // The weights of the tiny model made sparse on a calibration text.
  std::string sparse_on(const std::string& calibration, const std::string& name) const {
    const auto out = folder_ / name;
    const CommandResult result = pare({"sparsify", kTinyModel, "-o", out.string(), "--calib", calibration,
                                       "--nsamples", "4", "--seqlen", "64"});
    EXPECT_EQ(result.status, 0) << result.err;
    return file_contents(out / "model.safetensors");
  }
  Json perplexity_on(const std::string& text) const {
    return pare_json({"eval", kTinyModel, "--ppl", text, "--seqlen", "64", "--windows", "4"});
  }
  void expect_refused(const std::string& file, const std::string& message) const {
    expect_failure({"eval", kTinyModel, "--ppl", file, "--seqlen", "64"}, 1, message);
    expect_failure({"sparsify", kTinyModel, "-o", (folder_ / "out").string(), "--calib", file, "--nsamples",
                    "2", "--seqlen", "64"},
                   1, message);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out.partial"));
  }
  TempDir folder_;
};

TEST_F(TextFiles, GzipOfRecordsCalibratesAsTheRecordsDo) {
  const std::string lines = as_records(file_contents(kCalibrationText));
  const std::string plain = sparse_on(folder_.file("calib.jsonl", lines).string(), "plain");
  const std::string packed = sparse_on(folder_.file("calib.jsonl.gz", gzip(lines)).string(), "packed");
  EXPECT_FALSE(plain.empty());
  EXPECT_EQ(plain, packed);
  const std::string text = file_contents(kCalibrationText);
  EXPECT_EQ(sparse_on(kCalibrationText, "text"),
            sparse_on(folder_.file("text.gz", gzip(text)).string(), "text-gz"));
}

TEST_F(TextFiles, GzipAndAByteOrderMarkChangeNoPerplexity) {
  const std::string text = file_contents(kTestText);
  const Json plain = perplexity_on(kTestText);
  for (const std::string& file : {folder_.file("text.gz", gzip(text)).string(),
                                  folder_.file("marked.txt", "\xef\xbb\xbf" + text).string()}) {
    const Json other = perplexity_on(file);
    EXPECT_EQ(other["models"][0]["nll"], plain["models"][0]["nll"]);
    EXPECT_EQ(other["text"]["sha256"], plain["text"]["sha256"]);
  }
}

TEST_F(TextFiles, PerplexityOfRecordsIsNotThatOfTheirJson) {
  const std::string lines = as_records(file_contents(kTestText));
  const Json records = perplexity_on(folder_.file("test.jsonl", lines).string());
  const Json plain = perplexity_on(kTestText);
  // Documents instead of paragraphs: an end of sequence in place of a blank line.
  EXPECT_LT(records["models"][0]["perplexity"].get<double>(),
            3.0 * plain["models"][0]["perplexity"].get<double>());
}

TEST_F(TextFiles, WhatIsNoTextIsNamed) {
  using namespace std::string_literals;
  expect_refused(folder_.file("a.parquet", "PAR1....PAR1").string(),
                 "a.parquet is not UTF-8 text but Parquet");
  expect_refused(folder_.file("wide.txt", "h\0e\0l\0l\0o\0 \0y\0o\0u\0"s).string(),
                 "wide.txt is not UTF-8 text but UTF-16");
  expect_refused(folder_.file("latin1.txt", "caf\xe9 and more").string(),
                 "latin1.txt is not UTF-8: byte 0xe9 at offset 3");
  expect_refused(folder_.file("nul.txt", "some text and\0 more"s).string(),
                 "nul.txt is not text: it holds a NUL byte");
  expect_refused(folder_.file("base64.txt", std::string(20000, 'a')).string(), "without white space");
  expect_refused(folder_.file("empty.txt", "").string(), "empty.txt holds no text");
  expect_refused(folder_.file("chat.jsonl", R"({"messages": []})").string(),
                 "no field \"text\" or \"content\"");
  std::string unknown;
  for (int i = 0; i < 200; ++i) unknown += "\ue123\uf234 ";
  expect_refused(folder_.file("unknown.txt", unknown).string(), "of its tokens are unknown or single bytes");
}

}  // namespace
}  // namespace pare::test
