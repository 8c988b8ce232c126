#include "base/named_errors.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace pare {
namespace {

TEST(NamedErrors, APathIsNamedByItsFilesAndColons) {
  EXPECT_TRUE(names_path("model: it is broken", "model"));
  EXPECT_TRUE(names_path("model.gguf is no model", "model.gguf"));
  EXPECT_TRUE(names_path("cannot open model/config.json", "model"));
  EXPECT_TRUE(names_path("cannot open model/config.json", "model/"));
  EXPECT_TRUE(names_path("\"model\" in a/model: it is broken", "a/model"));
  EXPECT_FALSE(names_path("tensor \"model.norm.weight\" is missing", "model"));
  EXPECT_FALSE(names_path("config.json: num_hidden_layers is 0", "m"));
}

TEST(NamedErrors, OnlyWhatNamesNothingIsNamed) {
  const auto failing = [](const char* message) {
    return [message] { throw Error(ErrorCode::kFormat, message); };
  };
  EXPECT_PARE_ERROR(naming("model", failing("tensor \"model.norm\" is missing")), ErrorCode::kFormat,
                    "model: tensor \"model.norm\" is missing");
  EXPECT_PARE_ERROR(naming("a", failing("a/b: it is broken")), ErrorCode::kFormat, "a/b: it is broken");
  EXPECT_EQ(naming("a", [] { return 5; }), 5);
}

}  // namespace
}  // namespace pare
