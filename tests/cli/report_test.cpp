// pare report: pages of models that pare has made and of others, and what is refused.
#include "cli/pare_command.h"

namespace pare::test {
namespace {

using testing::HasSubstr;
using testing::Not;

CommandResult report(const std::vector<std::string>& models, const std::filesystem::path& out,
                     const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {"report"};
  arguments.insert(arguments.end(), models.begin(), models.end());
  arguments.insert(arguments.end(), {"-o", out.string()});
  arguments.insert(arguments.end(), more.begin(), more.end());
  return pare(arguments);
}

// Returns the page of models, which must be well-formed XML by Python's parser.
std::string page_of(const std::vector<std::string>& models, const std::vector<std::string>& more = {}) {
  const TempDir folder;
  const CommandResult result = report(models, folder / "page.html", more);
  EXPECT_EQ(result.status, 0) << result.err;
  const CommandResult parsed =
      run_command({"/usr/bin/python3", "-c", "import sys, xml.etree.ElementTree as e; e.parse(sys.argv[1])",
                   (folder / "page.html").string()});
  EXPECT_EQ(parsed.status, 0) << parsed.err;
  return file_contents(folder / "page.html");
}

TEST(ReportCommand, ShowsWhatASliceKept) {
  const TempDir folder;
  const auto sliced = folder / "sliced";
  ASSERT_EQ(pare(pass_command("slice", sliced, {"--target-params", "0.9"})).status, 0);
  const Json manifest = parse_json(file_contents(sliced / "pare.json"), "pare.json");
  ASSERT_FALSE(manifest["spectra"].empty());
  for (const Json& spectrum : manifest["spectra"]) {
    ASSERT_EQ(spectrum["energies"].size(), 17u);
    EXPECT_EQ(spectrum["energies"][0], 1.0);
    for (size_t i = 1; i < 17; ++i) EXPECT_LE(spectrum["energies"][i], spectrum["energies"][i - 1]);
    EXPECT_LT(spectrum["width_after"], spectrum["width_before"]);
  }
  int64_t bytes = 0;
  for (const auto& [role, size] : manifest["before"]["bytes_by_role"].items()) bytes += size.get<int64_t>();
  EXPECT_EQ(bytes + 9 * 64 * 4, manifest["before"]["bytes"]);  // nine norms of 64 values
  const std::string page = page_of({sliced.string()});
  const Json& cut = manifest["spectra"][0];
  EXPECT_THAT(page, HasSubstr(fmt::format("{}: {} of {} kept", cut["name"].get<std::string>(),
                                          cut["width_after"].dump(), cut["width_before"].dump())));
  EXPECT_THAT(page, HasSubstr("calibration.txt"));
  EXPECT_THAT(page, HasSubstr("Slicing: relative error"));
}

TEST(ReportCommand, ShowsTheSpectraOfRotations) {
  const TempDir folder;
  for (const char* rotation : {"block", "global"}) {
    const auto sliced = folder / rotation;
    ASSERT_EQ(pare(pass_command("slice", sliced, {"--target-params", "0.9", "--rotation", rotation})).status,
              0);
    const Json spectra = parse_json(file_contents(sliced / "pare.json"), "pare.json")["spectra"];
    // One for the model, or one for each norm: eight in the layers, and the final one.
    EXPECT_EQ(spectra.size(), rotation == std::string("block") ? 9u : 1u);
    EXPECT_EQ(spectra[0]["name"], rotation == std::string("block") ? "layers.0.attention_norm" : "residual");
    EXPECT_EQ(spectra[0]["width_before"], 64);
    EXPECT_THAT(page_of({sliced.string()}), HasSubstr("Residual stream: widths kept by layer"));
  }
}

TEST(ReportCommand, ShowsPatternsAndFormats) {
  const TempDir folder;
  const auto sparse = folder / "sparse";
  ASSERT_EQ(pare(pass_command("sparsify", sparse, {})).status, 0);
  const auto rounded = folder / "rounded.gguf";
  ASSERT_EQ(pare(pass_command("quantize", rounded, {"--format", "q4_0"})).status, 0);
  const std::string page = page_of({kTinyModel, sparse.string(), rounded.string()});
  EXPECT_THAT(page, HasSubstr("bf16 with zeros of 2:4"));
  EXPECT_THAT(page, HasSubstr("A: q4_0, 28 matrices, 4.50 bits a weight"));
  EXPECT_THAT(page, HasSubstr("Sparsity: relative error"));
  EXPECT_THAT(page, HasSubstr("Rounding: relative error"));
  EXPECT_THAT(page, HasSubstr("The model has no pare.json"));  // the original
}

TEST(ReportCommand, PlotsWhatOtherCommandsPrint) {
  const TempDir folder;
  const std::string copy = (folder / "copy").string();
  ASSERT_EQ(pare({"convert", kTinyModel, "-o", copy, "--to", "packed", "--dtype", "q4n"}).status, 0);
  const auto eval = folder.file(
      "eval.json",
      pare({"eval", kTinyModel, copy, "--ppl", kTestText, "--seqlen", "64", "--windows", "2", "--json"}).out);
  const auto bench = folder.file(
      "bench.json",
      pare({"bench", kTinyModel, copy, "--prefill", "8", "--decode", "2", "--repeats", "1", "--json"}).out);
  const auto others =
      folder.file("others.json",
                  R"({"models": [{"path": "Q4_<K>", "program": "llama.cpp", "bytes": 60000, "kl": 0.5}]})");
  const std::string page = page_of(
      {kTinyModel, copy}, {"--eval", eval.string(), "--eval", others.string(), "--bench", bench.string()});
  for (const char* part :
       {"KL over bytes", "KL over decode speed", "KL over prefill speed", "2 windows of 64 tokens",
        "KL is the distance from tiny-model", "3. Q4_&lt;K&gt; (llama.cpp)"})
    EXPECT_THAT(page, HasSubstr(part)) << part;
  EXPECT_THAT(page, Not(HasSubstr(folder.path().string())));  // no folder of the machine
}

TEST(ReportCommand, SameInputsGiveTheSameBytes) {
  EXPECT_EQ(page_of({kTinyModel}, {"--threads", "1"}), page_of({kTinyModel}, {"--threads", "3"}));
}

TEST(ReportCommand, NamesRowsOfNoModel) {
  const TempDir folder;
  const auto eval = folder.file("eval.json", R"({"models": [{"path": "a/other", "bytes": 5, "kl": 0.1}]})");
  const CommandResult result = report({kTinyModel}, folder / "page.html", {"--eval", eval.string()});
  EXPECT_EQ(result.status, 0);
  EXPECT_THAT(result.err, HasSubstr("a/other is none of the models given"));
  EXPECT_THAT(result.err, HasSubstr("tiny-model has no row in the files of `pare eval`"));
}

TEST(ReportCommand, RefusesBadInputs) {
  const TempDir folder;
  const std::string out = (folder / "page.html").string();
  expect_failure({"report", "/nowhere", "-o", out}, 1, "/nowhere");
  expect_failure({"report", folder.path().string(), "-o", out}, 1, "config.json");
  expect_failure({"report", kTinyModel, kTinyModel, "-o", out}, 2, "given twice");
  expect_failure({"report", kTinyModel}, 2, "--output");
  expect_failure({"report", kTinyModel, "-o", "/nowhere/page.html"}, 1, "does not exist");
  const auto text = folder.file("text.json", R"({"text": "a"})");
  expect_failure({"report", kTinyModel, "-o", out, "--eval", text.string()}, 1,
                 "is not what `pare eval` prints as JSON");
  expect_failure({"report", kTinyModel, "-o", out, "--bench", text.string()}, 1,
                 "is not what `pare bench` prints as JSON");
  expect_failure({"report", kTinyModel, "-o", out, "--eval", "/nowhere.json"}, 1, "/nowhere.json");
  const TinyModelCopy broken;
  broken.write("pare.json", "{\"recipe\": ");
  expect_failure({"report", broken.path(), "-o", out}, 1, "pare.json");
  broken.write("pare.json", R"({"recipe": {}, "errors": 3})");
  expect_failure({"report", broken.path(), "-o", out}, 1, "\"errors\" is no list");
  // Nothing is left of what failed, and nothing is overwritten.
  EXPECT_FALSE(std::filesystem::exists(out));
  EXPECT_FALSE(std::filesystem::exists(out + ".pare-partial"));
  const auto there = folder.file("there.html", "mine");
  expect_failure({"report", kTinyModel, "-o", there.string()}, 1, "exists");
  EXPECT_EQ(file_contents(there), "mine");
}

}  // namespace
}  // namespace pare::test
