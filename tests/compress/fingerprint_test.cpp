// Continuing interrupted runs: when it is refused, and with what message.
#include "compress/resume/fingerprint.h"

#include "support/expect_error.h"

namespace pare::test {
namespace {

Json one_pass() { return {{"model", "a"}, {"options", {{"seed", 0}, {"target_params", 0.9}}}}; }

void expect_other(const Json& first, const Json& second, const std::string& message) {
  WorkArea area;
  require_same_run(area, first);
  EXPECT_PARE_ERROR(require_same_run(area, second), ErrorCode::kInvalid, message);
}

TEST(Fingerprint, TheSameRunMayBeContinued) {
  WorkArea area;
  require_same_run(area, one_pass());
  require_same_run(area, one_pass());
}

TEST(Fingerprint, NamesWhatDiffers) {
  Json other = one_pass();
  other["model"] = "b";
  expect_other(one_pass(), other, "it was another one: model was \"a\", is \"b\"");
  other = one_pass();
  other["options"] = {{"seed", 1}, {"ridge", 0.5}};
  expect_other(one_pass(), other,
               "`seed` was 0, is 1; `target_params` was 0.9, is nothing; `ridge` was nothing, is 0.5");
}

TEST(Fingerprint, NamesThePassOfAnOption) {
  const Json first = {{"options", {{"seed", 0}, {"2-sparsify", {{"pattern", "2:4"}}}}}};
  Json second = first;
  second["options"]["2-sparsify"]["pattern"] = "4:8";
  expect_other(first, second, "`pattern` of 2-sparsify was \"2:4\", is \"4:8\"");
  expect_other(first, {{"options", {{"seed", 0}}}}, "`pattern` of 2-sparsify was \"2:4\", is nothing");
}

}  // namespace
}  // namespace pare::test
