// Rotary embedding in GGUF metadata, as llama.cpp reads it.
#include <algorithm>
#include <cmath>

#include "checkpoint/arch/decoder.h"
#include "checkpoint/arch/gguf_keys.h"
#include "runtime/rope.h"

namespace pare::decoder {
namespace {

constexpr const char* kDivisors = "rope_freqs.weight";
constexpr const char* kShortDivisors = "rope_factors_short.weight";
constexpr const char* kLongDivisors = "rope_factors_long.weight";

// Returns the divisor of each pair's frequency.
std::vector<float> rope_divisors(const RopeConfig& rope, int64_t head_dim) {
  RopeConfig plain;
  plain.theta = rope.theta;
  const std::vector<double> base = rope_frequencies(plain, head_dim, 0);
  const std::vector<double> scaled = rope_frequencies(rope, head_dim, 0);
  std::vector<float> divisors;
  for (size_t i = 0; i < base.size(); ++i) divisors.push_back(static_cast<float>(base[i] / scaled[i]));
  return divisors;
}

std::vector<float> read_divisors(const GgufFile& file, const char* name, int64_t head_dim) {
  std::vector<float> divisors = as_vector(find_tensor(file.tensors, {}, name, file.name), head_dim / 2);
  for (const float divisor : divisors)
    if (!(divisor > 0.0f) || !std::isfinite(divisor))
      fail(ErrorCode::kFormat, "{}: {} holds {}, expected positive numbers", file.name, name, divisor);
  return divisors;
}

// Reads a scaling that depends on the frequency, which GGUF keeps as one divisor a pair. Published parameters
// of LLaMA-3 are recognised, so that they can be written as such; else the divisors themselves are kept.
void read_divided(const GgufFile& file, int64_t head_dim, RopeConfig& rope) {
  std::vector<float> stored = read_divisors(file, kDivisors, head_dim);
  RopeConfig llama3;
  llama3.theta = rope.theta;
  llama3.scaling = RopeScaling::kLlama3;
  llama3.factor = stored.back();
  const std::vector<float> expected = rope_divisors(llama3, head_dim);
  bool published = true;
  for (size_t i = 0; i < stored.size(); ++i)
    published = published && std::abs(stored[i] - expected[i]) <= 1e-4f * expected[i];
  if (published) {
    rope = llama3;
  } else {
    rope.scaling = RopeScaling::kDivisors;
    rope.divisors = std::move(stored);
  }
}

double number(const GgufKeys& keys, const char* key, double fallback) {
  return static_cast<double>(keys.find_number(key).value_or(static_cast<float>(fallback)));
}

void read_yarn(const GgufFile& file, const GgufKeys& keys, double attention_factor, RopeConfig& rope) {
  if (const double extrapolation = number(keys, "rope.scaling.yarn_ext_factor", 1.0);
      extrapolation != 1.0 && extrapolation >= 0.0)  // negative: not set
    fail(ErrorCode::kUnsupported, "{}: {} is {}, only 1 is supported", file.name,
         keys.key("rope.scaling.yarn_ext_factor"), extrapolation);
  rope.scaling = RopeScaling::kYarn;
  rope.beta_fast = number(keys, "rope.scaling.yarn_beta_fast", rope.beta_fast);
  rope.beta_slow = number(keys, "rope.scaling.yarn_beta_slow", rope.beta_slow);
  const double all_dim = number(keys, "rope.scaling.yarn_log_multiplier", 0.0);
  rope.attention_factor = attention_factor * yarn_attention_factor(rope.factor);
  if (all_dim != 0.0) rope.attention_factor /= yarn_attention_factor(rope.factor, all_dim);
}

void read_longrope(const GgufFile& file, int64_t head_dim, double attention_factor, RopeConfig& rope) {
  rope.divisors = read_divisors(file, kShortDivisors, head_dim);
  rope.long_divisors = read_divisors(file, kLongDivisors, head_dim);
  rope.attention_factor = attention_factor;
  rope.scaling = RopeScaling::kLongrope;
}

}  // namespace

RopeConfig read_rope(const GgufFile& file, const GgufKeys& keys, const ModelConfig& config) {
  const int64_t head_dim = config.head_dim;
  RopeConfig rope;
  rope.theta = keys.find_number("rope.freq_base").value_or(10000.0f);
  const int64_t dims = keys.get_int("rope.dimension_count", head_dim);
  if (dims != head_dim)
    fail(ErrorCode::kUnsupported, "{}: partial rotary embedding ({} of {}) is not supported", file.name, dims,
         head_dim);
  const std::string* named = keys.find_string("rope.scaling.type");
  auto factor = keys.find_number("rope.scaling.factor");
  if (!factor) factor = keys.find_number("rope.scale_linear");  // files before the keys rope.scaling.*
  const std::string type = named != nullptr ? *named : factor && *factor != 1.0f ? "linear" : "none";
  if (type != "none" && type != "linear" && type != "yarn" && type != "longrope")
    fail(ErrorCode::kUnsupported,
         "{}: rope scaling \"{}\" is not supported (only linear, yarn, longrope and llama3)", file.name,
         type);
  const bool divided = file.tensors.contains(kDivisors) && type != "longrope";
  if (divided && type != "none")
    fail(ErrorCode::kUnsupported, "{}: {} beside another rope scaling is not supported", file.name,
         kDivisors);
  const double attention_factor = number(keys, "rope.scaling.attn_factor", 1.0);
  if (attention_factor != 1.0 && type != "yarn" && type != "longrope")
    fail(ErrorCode::kUnsupported, "{}: {} is {}, only 1 is supported without yarn or longrope", file.name,
         keys.key("rope.scaling.attn_factor"), attention_factor);
  if (divided) read_divided(file, head_dim, rope);
  if (type == "none") return rope;
  const int64_t positions = keys.get_int("context_length");
  const int64_t original = keys.get_int("rope.scaling.original_context_length", positions);
  if (type == "longrope") {
    if (factor && *factor != 1.0f)
      fail(ErrorCode::kUnsupported, "{}: {} is {}, only 1 is supported for longrope", file.name,
           keys.key("rope.scaling.factor"), *factor);
    rope.original_max_position = static_cast<double>(original);
    rope.factor = static_cast<double>(positions) / static_cast<double>(std::max<int64_t>(original, 1));
    read_longrope(file, head_dim, attention_factor, rope);
    return rope;
  }
  if (!factor) fail(ErrorCode::kFormat, "{}: {} is missing", file.name, keys.key("rope.scaling.factor"));
  rope.factor = static_cast<double>(*factor);
  rope.scaling = RopeScaling::kLinear;
  if (type == "linear") return rope;
  rope.original_max_position = static_cast<double>(original);
  read_yarn(file, keys, attention_factor, rope);
  return rope;
}

void write_rope(const ModelConfig& config, std::string_view prefix, std::vector<GgufEntry>& entries) {
  const RopeConfig& rope = config.rope;
  const auto add = [&](std::string_view name, GgufValue value) {
    entries.push_back({fmt::format("{}.rope.scaling.{}", prefix, name), std::move(value)});
  };
  const auto add_number = [&](std::string_view name, double value) { add(name, static_cast<float>(value)); };
  if (rope.scaling == RopeScaling::kLinear) {
    add("type", std::string("linear"));
    add_number("factor", rope.factor);
  } else if (rope.scaling == RopeScaling::kYarn) {
    if (!rope.truncate)
      fail(ErrorCode::kUnsupported, "GGUF cannot say that the ends of the yarn ramp are not truncated");
    const RopeConfig usual;
    add("type", std::string("yarn"));
    add_number("factor", rope.factor);
    add("original_context_length", static_cast<uint32_t>(rope.original_max_position));
    const double share = rope.attention_factor / yarn_attention_factor(rope.factor);
    if (std::abs(share - 1.0) > 1e-6) add_number("attn_factor", share);
    if (rope.beta_fast != usual.beta_fast) add_number("yarn_beta_fast", rope.beta_fast);
    if (rope.beta_slow != usual.beta_slow) add_number("yarn_beta_slow", rope.beta_slow);
  } else if (rope.scaling == RopeScaling::kLongrope) {
    add("type", std::string("longrope"));
    add("original_context_length", static_cast<uint32_t>(rope.original_max_position));
    add_number("attn_factor", rope.attention_factor);
  }
}

std::vector<std::pair<std::string, std::vector<float>>> extra_gguf_tensors(const ModelConfig& config) {
  const RopeConfig& rope = config.rope;
  if (rope.scaling == RopeScaling::kDivisors) return {{kDivisors, rope.divisors}};
  if (rope.scaling == RopeScaling::kLlama3) return {{kDivisors, rope_divisors(rope, config.head_dim)}};
  if (rope.scaling == RopeScaling::kLongrope)
    return {{kShortDivisors, rope.divisors}, {kLongDivisors, rope.long_divisors}};
  return {};
}

}  // namespace pare::decoder
