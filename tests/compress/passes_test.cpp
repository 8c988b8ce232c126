// The table of passes, options as text, and recipes.
#include "compress/passes.h"

#include <set>

#include "support/expect_error.h"

namespace pare::test {
namespace {

TEST(Passes, NamesAreUniqueWords) {
  const auto expect_word = [](const std::string& name, std::set<std::string>& all) {
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string::npos) << name;
    EXPECT_TRUE(all.insert(name).second) << name;
  };
  std::set<std::string> kinds;
  for (const PassKind& kind : pass_kinds()) {
    expect_word(kind.name, kinds);
    expect_word(kind.entries, kinds);
    std::set<std::string> options;
    for (const PassOption& option : kind.options) {
      expect_word(option.name, options);
      if (!option.opposite.empty()) expect_word(option.opposite, options);
      EXPECT_FALSE(option.help.empty()) << option.name;
    }
  }
}

PassOption option(const std::string& name, OptionKind kind, std::vector<std::string> choices = {},
                  int64_t least = 0) {
  return {.name = name, .kind = kind, .help = "", .choices = std::move(choices), .least = least};
}

TEST(PassOptions, TextBecomesAValue) {
  OptionValues values;
  read_option(option("a", OptionKind::kNumber), "0.125", values);
  read_option(option("b", OptionKind::kCount), "12", values);
  read_option(option("c", OptionKind::kWord), "any text", values);
  read_option(option("d", OptionKind::kWords, {"x", "y"}), "x,y", values);
  read_option(option("e", OptionKind::kTexts), "x,y", values);
  read_option(option("e", OptionKind::kTexts), "z", values);
  read_option(option("f", OptionKind::kFlag), "", values);
  read_option(option("g", OptionKind::kFlag), "false", values);
  EXPECT_EQ(values, parse_json(R"({"a": 0.125, "b": 12, "c": "any text", "d": ["x", "y"], "e": ["x,y", "z"],
                                   "f": true, "g": false})",
                               "expected"));
}

TEST(PassOptions, OtherTextIsRefused) {
  const auto expect = [](const PassOption& refusing, const std::string& text, const std::string& message) {
    OptionValues values;
    EXPECT_PARE_ERROR(read_option(refusing, text, values), ErrorCode::kUsage, message);
  };
  for (const char* text : {"", "x", "1x", "1,5"})
    expect(option("a", OptionKind::kNumber), text,
           fmt::format("`a` = {} is no number that this option", text));
  for (const char* text : {"", "x", "1.5", "1 "})
    expect(option("a", OptionKind::kCount), text,
           fmt::format("`a` = {} is no number that this option", text));
  for (const char* text : {"0", "-1", "4294967297", "99999999999999999999"})
    expect(option("a", OptionKind::kCount, {}, 1), text,
           fmt::format("`a`: Value {} not in range 1 to 4294967296", text));
  expect(option("a", OptionKind::kWord, {"x", "y"}), "z", "`a`: z is not one of x, y");
  expect(option("a", OptionKind::kWords, {"x", "y"}), "x,z", "`a`: z is not one of x, y");
  expect(option("a", OptionKind::kWords), "x,,y", "`a`: an empty item in 'x,,y'");
  expect(option("a", OptionKind::kFlag), "maybe", "`a`: maybe is not yes or no");
}

TEST(Recipe, OptionsAreThoseOfThePasses) {
  const Passes passes = parse_recipe(
      "# first narrower\nslice:0.1:round-interval=4:streams=hidden\n\n"
      "sparsify:4:8:method=sparsegpt:match_damping=0.5:ignore=q:ignore=k , slice:0.2:rotation=global:untie");
  ASSERT_EQ(passes.size(), 3u);
  const Json first = passes[0]->options();
  EXPECT_EQ(first["target_params"], 0.9);
  EXPECT_EQ(first["round_interval"], 4);
  EXPECT_EQ(first["streams"], "hidden");
  const Json second = passes[1]->options();
  EXPECT_EQ(second["pattern"], "4:8");
  EXPECT_EQ(second["method"], "sparsegpt");
  EXPECT_EQ(second["shuffle"], "none");
  EXPECT_EQ(second["ignore"], Json({"q", "k"}));
  const Json third = passes[2]->options();
  EXPECT_EQ(third["target_params"], 0.8);
  EXPECT_EQ(third["keep_tie"], false);
}

TEST(Recipe, SwitchesAreSaidInSeveralWays) {
  for (const char* text : {"rotate", "rotate:keep_tie", "rotate:keep-tie=yes", "rotate:keep_tie=true"})
    EXPECT_EQ(parse_recipe(text).front()->options()["keep_tie"], true) << text;
  for (const char* text : {"rotate:untie", "rotate:keep_tie=no", "rotate:keep-tie=false"})
    EXPECT_EQ(parse_recipe(text).front()->options()["keep_tie"], false) << text;
}

TEST(Recipe, BestIsASetOfOptions) {
  const Json best = parse_recipe("sparsify:best").front()->options();
  EXPECT_EQ(best, parse_recipe("sparsify:2:4:method=alps:swaps=2:match=model").front()->options());
}

}  // namespace
}  // namespace pare::test
