#include "base/json.h"

#include "support/expect_error.h"

namespace pare {
namespace {

TEST(Json, RejectsDuplicateKeysAndDeepNesting) {
  EXPECT_PARE_ERROR(parse_json(R"({"a":1,"a":2})", "t"), ErrorCode::kFormat, "duplicate JSON key \"a\"");
  EXPECT_PARE_ERROR(parse_json(std::string(70, '[') + std::string(70, ']'), "t"), ErrorCode::kFormat,
                    "deeper");
  EXPECT_PARE_ERROR(parse_json("{\"a\":\"\xff\"}", "t"), ErrorCode::kFormat, "not valid JSON");
  EXPECT_PARE_ERROR(parse_json("{\"a\":", "t"), ErrorCode::kFormat, "not valid JSON");
  EXPECT_NO_THROW(parse_json(R"({"a":{"a":1},"b":[{"a":1},{"a":2}]})", "t"));
}

TEST(Json, RejectsTextAfterANulByte) {
  EXPECT_PARE_ERROR(parse_json(std::string_view("{}\0{}", 5), "t"), ErrorCode::kFormat,
                    "NUL byte at offset 2");
}

TEST(Json, KeepsMemberOrderAndReadsBigObjectsInLinearTime) {
  std::string text = "{";
  for (int i = 200000; i > 0; --i) text += fmt::format("\"key{}\":{},", i, i);
  text += "\"last\":[true,null,-1,2.5,\"s\",{}]}";
  const Json object = parse_json(text, "t");  // a quadratic parser takes minutes here
  EXPECT_EQ(object.size(), 200001u);
  EXPECT_EQ(object.begin().key(), "key200000");
  EXPECT_EQ(object.dump(), text);
}

TEST(Json, TypedGetNamesTheKey) {
  const Json object = parse_json(R"({"n":3,"f":1.5,"big":18446744073709551615,"s":"x","null":null})", "cfg");
  EXPECT_EQ(json_get<int64_t>(object, "n", "cfg"), 3);
  EXPECT_EQ(json_get<double>(object, "n", "cfg"), 3.0);
  EXPECT_EQ(json_find<std::string>(object, "null", "cfg"), std::nullopt);
  EXPECT_PARE_ERROR(json_get<int64_t>(object, "f", "cfg"), ErrorCode::kFormat, "\"f\"");
  EXPECT_PARE_ERROR(json_get<int64_t>(object, "big", "cfg"), ErrorCode::kFormat, "\"big\"");
  EXPECT_PARE_ERROR(json_get<std::string>(object, "missing", "cfg"), ErrorCode::kFormat, "\"missing\"");
}

}  // namespace
}  // namespace pare
