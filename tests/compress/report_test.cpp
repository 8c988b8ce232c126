// The manifest of a compression, and the checks that go into it.
#include "compress/report.h"

#include "compress/calibrated.h"
#include "support/expect_error.h"

namespace pare::test {
namespace {

TEST(Report, JsonHoldsEverything) {
  Report report;
  report.recipe = {{"method", "slice"}};
  report.errors = {{"layers.3.down", 128, 96, 0.25}};
  report.sparsity = {{"layers.1.q", "2:4", 0.75, 0.125}, {"layers.1.k", "2:4", 0.5, 0.25, 0.5, 0.125}};
  report.checks = {{"norm fusion", 1e-7}};
  report.fallbacks = {"layer 2 o: damping raised 1 times"};
  report.before = {100, 200, 50};
  report.after = {90, 180, 40};
  report.linears = {{"2:4", 2}, {"dense", 5}};
  EXPECT_EQ(report.to_json(), parse_json(R"({
    "recipe": {"method": "slice"},
    "before": {"parameters": 100, "bytes": 200},
    "after": {"parameters": 90, "bytes": 180},
    "linears": {"2:4": 2, "dense": 5},
    "errors": [{"name": "layers.3.down", "width_before": 128, "width_after": 96, "relative_error": 0.25}],
    "sparsity": [
      {"name": "layers.1.q", "pattern": "2:4", "kept_score": 0.75, "relative_error": 0.125},
      {"name": "layers.1.k", "pattern": "2:4", "kept_score": 0.5, "relative_error": 0.25,
       "entropy_spread_before": 0.5, "entropy_spread_after": 0.125}],
    "exact_checks": [{"name": "norm fusion", "relative_difference": 1e-7}],
    "fallbacks": ["layer 2 o: damping raised 1 times"]})",
                                         "expected"));
}

TEST(Report, EntriesSurviveAsJson) {
  Report report;
  report.errors = {{"layers.3.down", 128, 96, 0.25}};
  report.sparsity = {{"layers.1.q", "2:4", 0.75, 0.125}, {"layers.1.k", "2:4", 0.5, 0.25, 0.5, 0.125}};
  report.checks = {{"norm fusion", 1e-7}};
  report.fallbacks = {"layer 2 o: damping raised 1 times"};
  Report other;
  add_entries(other, entries_since(report, {}));
  EXPECT_EQ(other.to_json(), report.to_json());
}

TEST(Report, ListsAreThereWhenEmpty) {
  const Json json = Report().to_json();
  for (const char* key : {"errors", "sparsity", "exact_checks", "fallbacks"})
    EXPECT_EQ(json[key], Json::array()) << key;
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
