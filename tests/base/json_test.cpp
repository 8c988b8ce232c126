#include "base/json.h"

#include <cmath>

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

// NaN and infinities are written as Python writes and reads them.
TEST(Json, NumbersThatAreNone) {
  const Json json =
      parse_json(R"({"a": NaN, "b": [null, -Infinity, Infinity], "NaN\"Infinity": "x NaN", "n": null})", "t");
  EXPECT_TRUE(std::isnan(json["a"].get<double>()));
  EXPECT_TRUE(json["b"][0].is_null());
  EXPECT_EQ(json["b"][1].get<double>(), -INFINITY);
  EXPECT_EQ(json["b"][2].get<double>(), INFINITY);
  EXPECT_EQ(json["NaN\"Infinity"], "x NaN");
  EXPECT_TRUE(json["n"].is_null());
  for (const char* text :
       {"{\"a\": NaNNaN}", "{\"a\": xNaN}", "{NaN: 1}", "{\"a\": nan}", "-NaN", "Infinit", "\"NaN"})
    EXPECT_PARE_ERROR(parse_json(text, "t"), ErrorCode::kFormat, "t: not valid JSON");
  EXPECT_PARE_ERROR(parse_json(R"({"a": NaN, "a": 1})", "t"), ErrorCode::kFormat, "duplicate JSON key");
}

TEST(Json, APageOfHtmlIsNamed) {
  EXPECT_PARE_ERROR(parse_json("\n <!doctype HTML><html>", "t"), ErrorCode::kFormat, "t is a page of HTML");
}

}  // namespace
}  // namespace pare
