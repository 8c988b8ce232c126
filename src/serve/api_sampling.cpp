#include "serve/api_sampling.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <random>

#include "serve/api_fields.h"

namespace pare {
namespace {

constexpr double kLarge = 1e6;
constexpr double kMaxBias = 100.0;     // the API's own
constexpr double kMaxPenalty = 100.0;  // the API allows 2, other servers more

uint64_t random_seed() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 31 ^ device();
}

// Every whole number is a seed, but for -1, by which other servers mean none.
uint64_t read_seed(const Json& body) {
  const Json& value = field(body, "seed");
  if (value.is_number_unsigned()) return value.get<uint64_t>();
  const int64_t seed =
      integer(body, "seed", -1, std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max());
  return seed == -1 ? random_seed() : static_cast<uint64_t>(seed);
}

// "repeat_penalty" is its name in llama.cpp and Ollama.
double read_repetition_penalty(const Json& body, double otherwise) {
  const double value = number(body, "repetition_penalty", otherwise, 1.0 / kLarge, kLarge);
  if (field(body, "repeat_penalty").is_null()) return value;
  const double other = number(body, "repeat_penalty", value, 1.0 / kLarge, kLarge);
  if (!field(body, "repetition_penalty").is_null() && other != value)
    fail(ErrorCode::kInvalid,
         "\"repetition_penalty\" is {} and \"repeat_penalty\", another name of it, is {}", value, other);
  return other;
}

std::vector<std::pair<int32_t, float>> read_bias(const Json& body, int64_t vocab) {
  std::vector<std::pair<int32_t, float>> biases;
  const Json& map = field(body, "logit_bias");
  if (map.is_null()) return biases;
  if (!map.is_object()) fail(ErrorCode::kFormat, "\"logit_bias\" is not an object of token ids and numbers");
  for (const auto& [key, value] : map.items()) {
    int32_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0 || id >= vocab)
      fail(ErrorCode::kInvalid, "\"logit_bias\" names the token \"{}\", expected an id from 0 to {}", key,
           vocab - 1);
    const double bias = value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
    if (!(bias >= -kMaxBias && bias <= kMaxBias))
      fail(ErrorCode::kInvalid, "\"logit_bias\" of token {} is {}, expected a number from {} to {}", id,
           value.dump().substr(0, 80), -kMaxBias, kMaxBias);
    biases.emplace_back(id, static_cast<float>(bias));
  }
  return biases;
}

}  // namespace

SamplingOptions read_sampling(const Json& body, const SamplingOptions& defaults, int64_t vocab) {
  SamplingOptions sampling = defaults;
  sampling.temperature = number(body, "temperature", defaults.temperature, 0.0, kLarge);
  sampling.top_p = number(body, "top_p", defaults.top_p, 0.0, 1.0);
  // Some clients call a mass of 0 greedy: the set is the first token alone.
  if (sampling.top_p == 0.0) sampling.top_p = std::numeric_limits<double>::min();
  sampling.min_p = number(body, "min_p", defaults.min_p, 0.0, 1.0);
  sampling.top_k = std::max<int64_t>(0, integer(body, "top_k", defaults.top_k, -1, kMaxCount));  // -1: all
  sampling.repetition_penalty = read_repetition_penalty(body, defaults.repetition_penalty);
  sampling.frequency_penalty =
      number(body, "frequency_penalty", defaults.frequency_penalty, -kMaxPenalty, kMaxPenalty);
  sampling.presence_penalty =
      number(body, "presence_penalty", defaults.presence_penalty, -kMaxPenalty, kMaxPenalty);
  sampling.logit_bias = read_bias(body, vocab);
  // llama.cpp's window of the penalty: pare penalises all of the sequence.
  const int64_t window = integer(body, "repeat_last_n", -1, -1, kMaxCount);
  if (window != -1 && sampling.repetition_penalty != 1.0)
    fail(ErrorCode::kUnsupported,
         "\"repeat_last_n\" is {}, but the repetition penalty looks at the whole sequence (-1)", window);
  sampling.seed = read_seed(body);
  return sampling;
}

}  // namespace pare
