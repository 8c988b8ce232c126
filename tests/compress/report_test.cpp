// The manifest of a compression, and the checks that go into it.
#include "compress/report.h"

#include "compress/calibrated.h"
#include "support/expect_error.h"

namespace pare::test {
namespace {

void add_two_kinds(Report& report) {
  report.add("errors", {{"name", "layers.3.down"}, {"width_after", 96}, {"relative_error", 0.25}});
  report.add("sparsity", {{"name", "layers.1.q"}, {"pattern", "2:4"}});
  report.add("sparsity", {{"name", "layers.1.k"}, {"pattern", "2:4"}});
}

TEST(Report, JsonHoldsEverything) {
  Report report;
  report.recipe = {{"method", "slice"}};
  add_two_kinds(report);
  report.checks = {{"norm fusion", 1e-7}};
  report.fallbacks = {"layer 2 o: damping raised 1 times"};
  report.before = {100, 200, 50};
  report.before_by_role = {{.role = Role::kEmbedding, .bytes = 120}, {.role = Role::kDown, .bytes = 70}};
  report.after = {90, 180, 40};
  report.linears = {{"2:4", 2}, {"dense", 5}};
  EXPECT_EQ(report.to_json(), parse_json(R"({
    "recipe": {"method": "slice"},
    "before": {"parameters": 100, "bytes": 200, "bytes_by_role": {"embedding": 120, "down": 70}},
    "after": {"parameters": 90, "bytes": 180},
    "linears": {"2:4": 2, "dense": 5},
    "errors": [{"name": "layers.3.down", "width_after": 96, "relative_error": 0.25}],
    "sparsity": [{"name": "layers.1.q", "pattern": "2:4"}, {"name": "layers.1.k", "pattern": "2:4"}],
    "exact_checks": [{"name": "norm fusion", "relative_difference": 1e-7}],
    "fallbacks": ["layer 2 o: damping raised 1 times"]})",
                                         "expected"));
}

TEST(Report, EntriesSurviveAsJson) {
  Report report;
  add_two_kinds(report);
  report.checks = {{"norm fusion", 1e-7}};
  report.fallbacks = {"layer 2 o: damping raised 1 times"};
  Report other;
  add_entries(other, entries_since(report, {}));
  EXPECT_EQ(other.to_json(), report.to_json());
}

TEST(Report, OnlyWhatAStepAddedIsKeptForIt) {
  Report report;
  add_two_kinds(report);
  report.checks = {{"norm fusion", 1e-7}};
  const ReportMark begin = mark(report);
  report.add("sparsity", {{"name", "layers.1.v"}});
  report.add("codes", {{"name", "layers.1.o"}});
  report.fallbacks = {"layer 2 o: damping raised 1 times"};
  EXPECT_EQ(entries_since(report, begin), parse_json(R"({
    "codes": [{"name": "layers.1.o"}], "errors": [], "sparsity": [{"name": "layers.1.v"}],
    "exact_checks": [], "fallbacks": ["layer 2 o: damping raised 1 times"]})",
                                                     "expected"));
}

TEST(Report, ListsAreThereWhenEmpty) {
  Report report;
  report.entries["sparsity"];
  for (const char* key : {"sparsity", "exact_checks", "fallbacks"})
    EXPECT_EQ(report.to_json()[key], Json::array()) << key;
  EXPECT_TRUE(report.of("sparsity").empty());
  EXPECT_TRUE(report.of("unknown").empty());
}

Matrix<float> row_of(std::vector<float> values) {
  Matrix<float> m(1, static_cast<int64_t>(values.size()));
  std::copy(values.begin(), values.end(), m.data());
  return m;
}

TEST(RequireExact, RecordsAndRefuses) {
  Report report;
  const Matrix<float> a = row_of({1.0f, -4.0f, 2.0f});
  const Matrix<float> b = row_of({1.0f, -4.0f, 2.5f});
  EXPECT_DOUBLE_EQ(relative_difference(a.view(), b.view()), 0.125);
  require_exact("small", a.view(), b.view(), report, 0.125);
  EXPECT_PARE_ERROR(require_exact("rotation", a.view(), b.view(), report, 0.1), ErrorCode::kNumeric,
                    "rotation should leave the outputs alone, but changes them by 1.25e-01");
  const Matrix<float> bad = row_of({std::nanf(""), -4.0f, 2.0f});
  EXPECT_PARE_ERROR(require_exact("broken", a.view(), bad.view(), report), ErrorCode::kNumeric, "broken");
  EXPECT_PARE_ERROR(require_exact("broken", bad.view(), a.view(), report), ErrorCode::kNumeric, "broken");
  ASSERT_EQ(report.checks.size(), 4u);
  EXPECT_EQ(report.checks[0].name, "small");
  EXPECT_EQ(report.checks[0].relative_difference, 0.125);
}

}  // namespace
}  // namespace pare::test
