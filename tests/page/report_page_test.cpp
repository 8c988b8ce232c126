#include "page/report_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/save.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

namespace pare::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

ModelFacts tiny_facts(const std::string& name) {
  const Model model = make_tiny_model();
  ModelFacts facts;
  facts.name = name;
  facts.config = model.config;
  facts.size = model_size(model);
  facts.matrices = matrix_facts(model);
  facts.roles = role_sizes(model);
  return facts;
}

MeasuredRow row_of(const ModelFacts& facts) {
  return {.name = facts.name, .is_given = true, .bytes = facts.size.bytes};
}

// A folder with a tiny model and a pare.json of any content.
class ManifestTest : public testing::Test {
 protected:
  ManifestTest() { save_hf(make_tiny_model(), folder_.path(), {}); }
  ModelFacts read(const std::string& manifest) {
    folder_.file("pare.json", manifest);
    return read_model_facts(folder_.path().string());
  }

 private:
  TempDir folder_;
};

TEST(ReportPage, NamesAreEscaped) {
  const ModelFacts facts = tiny_facts("<script>alert(1)</script>");
  const std::string page = report_page({facts}, {.rows = {row_of(facts)}});
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"));
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  // Nothing is fetched: no link leads elsewhere.
  EXPECT_THAT(page, Not(HasSubstr("src=")));
  EXPECT_THAT(page, Not(HasSubstr("href=\"http")));
}

TEST(ReportPage, DrawingsHaveTextsAndTables) {
  const ModelFacts facts = tiny_facts("tiny");
  MeasuredRow row = row_of(facts);
  row.kl = 0.1;
  row.decode = 5.0;
  const std::string page = report_page({facts}, {.rows = {row}});
  const auto count = [&](const std::string& what) {
    size_t found = 0;
    for (size_t at = page.find(what); at != std::string::npos; at = page.find(what, at + 1)) ++found;
    return found;
  };
  EXPECT_GT(count("role=\"img\""), 0u);
  EXPECT_EQ(count("role=\"img\""), count("<desc id="));
  EXPECT_EQ(count("role=\"img\""), count("<title id="));
  EXPECT_THAT(page, HasSubstr("KL over bytes"));
  EXPECT_THAT(page, HasSubstr("KL over decode speed"));
  EXPECT_THAT(page, Not(HasSubstr("KL over prefill speed")));  // without a figure there is no plot
}

TEST(ReportPage, BytesAddUp) {
  const ModelFacts facts = tiny_facts("tiny");
  int64_t bytes = 0;
  for (const RoleSize& role : facts.roles) bytes += role.bytes;
  const int64_t norms = (2 * 2 + 1) * 32 * 4;  // two layers of two norms, a final one, 32 values in f32
  EXPECT_EQ(bytes + norms, facts.size.bytes);
  const std::string page = report_page({facts}, {.rows = {row_of(facts)}});
  EXPECT_THAT(page, HasSubstr("640 B"));
}

TEST(ReportPage, ShortNamesTellPathsApart) {
  EXPECT_THAT(short_names({"/a/q4n/", "/a/of4"}), ElementsAre("q4n", "of4"));
  EXPECT_THAT(short_names({"/a/x/m", "/a/y/m", "/b/n"}), ElementsAre("x/m", "y/m", "n"));
  EXPECT_THAT(short_names({"/m", "/a/m"}), ElementsAre("m", "a/m"));
}

TEST_F(ManifestTest, SaysWhatPareDid) {
  const ModelFacts facts = read(R"({
    "recipe": {"method": "slice", "streams": ["hidden"], "seed": 7,
               "calibration": {"source": "text.txt", "nsamples": 4}},
    "before": {"parameters": 100, "bytes": 400, "bytes_by_role": {"down": 300}},
    "errors": [{"name": "layers.1.down", "width_before": 64, "width_after": 48, "relative_error": 0.25}],
    "spectra": [{"name": "layers.1.down", "width_before": 64, "width_after": 48, "energies": [1.0, 0.5, 0.1]}],
    "fallbacks": ["layer 1 down: damping raised 2 times"]})");
  ASSERT_EQ(facts.passes.size(), 1u);
  EXPECT_EQ(facts.passes[0].method, "slice");
  EXPECT_EQ(facts.passes[0].options.dump(), R"({"streams":["hidden"]})");
  EXPECT_EQ(facts.seed, "7");
  EXPECT_EQ(facts.bytes_before, 400);
  ASSERT_EQ(facts.roles_before.size(), 1u);
  EXPECT_EQ(facts.roles_before[0].bytes, 300);
  ASSERT_EQ(facts.errors.size(), 1u);
  EXPECT_EQ(facts.errors[0].entries[0].block, 1);
  EXPECT_EQ(facts.errors[0].entries[0].role, Role::kDown);
  ASSERT_EQ(facts.spectra.size(), 1u);
  const std::string page = report_page({facts}, {.rows = {row_of(facts)}});
  for (const char* part : {"text.txt", "damping raised 2 times", "layers.1.down: 48 of 64 kept",
                           "layer 1, down: 0.25", "the original: 400 B", "layer 1, cut: 16"})
    EXPECT_THAT(page, HasSubstr(part)) << part;
}

TEST_F(ManifestTest, EntriesOfUnknownPlacesStandOutside) {
  const ModelFacts facts = read(R"({"recipe": {"method": "quantize"}, "quantization": [
    {"name": "head", "relative_error": 0.5}, {"name": "layers.99.down", "relative_error": 0.25},
    {"name": "layers.0.nose", "relative_error": 0.125}]})");
  const std::string page = report_page({facts}, {.rows = {row_of(facts)}});
  for (const char* name : {"layers.99.down", "layers.0.nose", "head"})
    EXPECT_THAT(page, HasSubstr(fmt::format("<th scope=\"row\">{}</th>", name)));
}

TEST_F(ManifestTest, SaysWhatABudgetHasBought) {
  const ModelFacts facts = read(R"({"recipe": {"method": "quantize"}, "formats": [
    {"name": "embedding", "format": "q3n", "bytes": 1000, "predicted_kl": 0.125},
    {"name": "layers.1.v", "format": "q4n", "bytes": 2000, "predicted_kl": 0.25},
    {"name": "layers.0.v", "format": "bf16", "bytes": 4000}]})");
  ASSERT_EQ(facts.errors.size(), 1u);
  EXPECT_EQ(facts.errors[0].entries.size(), 2u);
  const std::string page = report_page({facts}, {.rows = {row_of(facts)}});
  for (const char* part :
       {"was foreseen to cost", "layer 1, v: q4n, 2.00 KB, nats: 0.25", "q3n, 1.00 KB, nats: 0.125"})
    EXPECT_THAT(page, HasSubstr(part)) << part;
  EXPECT_PARE_ERROR(read(R"({"recipe": {"method": "quantize"}, "formats": [
    {"name": "embedding", "bytes": 1000, "predicted_kl": 0.125}]})"),
                    ErrorCode::kFormat, "format");
}

TEST_F(ManifestTest, BrokenOnesAreRefused) {
  EXPECT_PARE_ERROR(read("{"), ErrorCode::kFormat, "pare.json");
  EXPECT_PARE_ERROR(read("[1]"), ErrorCode::kFormat, "is no object");
  EXPECT_PARE_ERROR(read("{}"), ErrorCode::kFormat, "\"recipe\" is missing");
  const auto with = [&](const std::string& more) {
    read(R"({"recipe": {"method": "slice"}, )" + more + "}");
  };
  EXPECT_PARE_ERROR(with(R"("errors": {})"), ErrorCode::kFormat, "\"errors\" is no list");
  EXPECT_PARE_ERROR(with(R"("errors": [{"name": "layers.0.down"}])"), ErrorCode::kFormat,
                    "\"relative_error\" of layers.0.down is null");
  EXPECT_PARE_ERROR(with(R"("sparsity": [{"name": 3}])"), ErrorCode::kFormat, "name");
  EXPECT_PARE_ERROR(with(R"("sparsity": [3])"), ErrorCode::kFormat, "sparsity");
  EXPECT_PARE_ERROR(with(R"("before": {"bytes": "many"})"), ErrorCode::kFormat, "bytes");
  EXPECT_PARE_ERROR(with(R"("before": {"bytes": 1, "parameters": 1, "bytes_by_role": {"nose": 1}})"),
                    ErrorCode::kFormat, "no role nose");
  EXPECT_PARE_ERROR(
      with(R"("spectra": [{"name": "a", "width_before": 2, "width_after": 3, "energies": []}])"),
      ErrorCode::kFormat, "the widths of a are 2 and 3");
  EXPECT_PARE_ERROR(
      with(R"("spectra": [{"name": "a", "width_before": 2, "width_after": 1, "energies": ["x"]}])"),
      ErrorCode::kFormat, "an energy of a");
}

}  // namespace
}  // namespace pare::test
