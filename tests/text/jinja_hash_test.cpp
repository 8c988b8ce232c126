// How keys of dicts are hashed.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "text/jinja/template.h"

namespace pare {
namespace {

// Keys of one hash: whoever knows how texts are hashed can find as many as he likes. These are of
// MurmurHash64A with the seed of libstdc++'s std::hash, whose steps can be taken backwards.
std::vector<std::string> keys_of_one_hash(size_t count) {
  constexpr uint64_t kMul = 0xc6a4a7935bd1e995;
  uint64_t inverse = kMul;  // modulo 2^64, by Newton's iteration
  for (int i = 0; i < 5; ++i) inverse *= 2 - kMul * inverse;
  const auto mix = [](uint64_t word) {
    word *= kMul;
    return (word ^ word >> 47) * kMul;
  };
  const auto unmix = [&](uint64_t word) {
    word *= inverse;
    return (word ^ word >> 47) * inverse;
  };
  constexpr uint64_t kSeed = 0xc70f6907;
  const uint64_t start = kSeed ^ 16 * kMul;
  std::vector<std::string> keys;
  for (uint64_t first = 0; first < count; ++first) {
    const uint64_t second = unmix((start ^ mix(first)) * kMul);  // after it, nothing is left
    std::string key(16, '\0');
    std::memcpy(key.data(), &first, 8);
    std::memcpy(key.data() + 8, &second, 8);
    keys.push_back(std::move(key));
  }
  return keys;
}

TEST(JinjaHash, KeysThatWereChosenToHaveOneHashDoNot) {
  JinjaValue pairs = JinjaValue::list();
  const std::vector<std::string> keys = keys_of_one_hash(5000);
  EXPECT_EQ(std::hash<std::string>()(keys.front()), std::hash<std::string>()(keys.back()));
  for (const std::string& key : keys)
    pairs.append(JinjaValue::tuple({JinjaValue::string(key), JinjaValue::none()}));
  JinjaValue variables = JinjaValue::dict();
  variables.set("pairs", pairs);
  JinjaOptions options;
  options.limits.steps = 100'000;
  const auto spans = JinjaTemplate::parse("{{ dict(pairs)|length }}").render(variables, options);
  EXPECT_EQ(spans.front().text, "5000");
}

}  // namespace
}  // namespace pare
