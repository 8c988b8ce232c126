// Rotary embedding in config.json, as transformers reads it.
#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "checkpoint/arch/config_keys.h"
#include "checkpoint/arch/decoder.h"
#include "runtime/rope.h"

namespace pare::decoder {
namespace {

using namespace config_keys;

constexpr const char* kOriginalPositions = "original_max_position_embeddings";

bool is_said(const Json& json, const char* key) {
  const auto it = json.find(key);
  return it != json.end() && !it->is_null();
}

// Returns the positions before the scaling. Phi-3's key beside the rope object goes before the one in it.
double original_positions(const Json& config, const Json& object, double otherwise) {
  const auto beside = json_find<double>(config, kOriginalPositions, kWhat);
  const auto inside = json_find<double>(object, kOriginalPositions, kWhat);
  if (beside && inside && *beside != *inside)
    log_warning("{}: \"{}\" is {}, which counts, and {} in the rope object", kWhat, kOriginalPositions,
                *beside, *inside);
  return beside.value_or(inside.value_or(otherwise));
}

std::vector<float> read_divisors(const Json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_array() ||
      !std::all_of(it->begin(), it->end(), [](const Json& v) { return v.is_number(); }))
    fail(ErrorCode::kFormat, "{}: \"{}\" must be an array of numbers", kWhat, key);
  return it->get<std::vector<float>>();
}

// Reads one rope object, `rope_scaling` (older spelling) or `rope_parameters` (newer), of a model of so many
// positions.
class ScalingReader {
 public:
  ScalingReader(const Json& config, const Json& object, int64_t max_positions)
      : object_(object),
        max_positions_(static_cast<double>(max_positions)),
        original_(original_positions(config, object, max_positions_)) {}

  void read(RopeConfig& rope) const {
    auto type = json_find<std::string>(object_, "rope_type", kWhat);
    if (!type) type = json_find<std::string>(object_, "type", kWhat);
    if (!type || *type == "default") return;
    if (*type == "linear" || *type == "dynamic") {
      rope.scaling = *type == "linear" ? RopeScaling::kLinear : RopeScaling::kDynamic;
      rope.factor = json_get<double>(object_, "factor", kWhat);
    } else if (*type == "llama3") {
      read_llama3(rope);
    } else if (*type == "yarn") {
      read_yarn(rope);
    } else if (*type == "longrope" || *type == "su") {  // the name in Phi-3's first files
      read_longrope(rope);
    } else {
      fail(ErrorCode::kUnsupported,
           "{}: rope scaling \"{}\" is not supported (only linear, dynamic, llama3, yarn and longrope)",
           kWhat, *type);
    }
  }

 private:
  void read_llama3(RopeConfig& rope) const {
    rope.scaling = RopeScaling::kLlama3;
    rope.factor = json_get<double>(object_, "factor", kWhat);
    rope.low_freq_factor = json_get<double>(object_, "low_freq_factor", kWhat);
    rope.high_freq_factor = json_get<double>(object_, "high_freq_factor", kWhat);
    rope.original_max_position = original_;
  }

  void read_yarn(RopeConfig& rope) const {
    rope.scaling = RopeScaling::kYarn;
    rope.original_max_position = original_;
    rope.factor = factor();
    rope.beta_fast = nonzero("beta_fast", rope.beta_fast);
    rope.beta_slow = nonzero("beta_slow", rope.beta_slow);
    rope.truncate = get_bool(object_, "truncate", true);
    const double mscale = get_number(object_, "mscale", 0.0);
    const double all_dim = get_number(object_, "mscale_all_dim", 0.0);
    const double ratio = mscale != 0.0 && all_dim != 0.0 ? yarn_attention_factor(rope.factor, mscale) /
                                                               yarn_attention_factor(rope.factor, all_dim)
                                                         : yarn_attention_factor(rope.factor);
    rope.attention_factor = get_number(object_, "attention_factor", ratio);
  }

  void read_longrope(RopeConfig& rope) const {
    rope.divisors = read_divisors(object_, "short_factor");
    rope.long_divisors = read_divisors(object_, "long_factor");
    const double stretch = factor();
    rope.attention_factor = get_number(object_, "attention_factor", longrope_attention_factor(stretch));
    if (rope.divisors == rope.long_divisors && rope.attention_factor == 1.0) {
      // One divisor a pair, whatever the length, as rope_freqs of a GGUF file.
      rope.scaling = RopeScaling::kDivisors;
      rope.long_divisors.clear();
      return;
    }
    rope.scaling = RopeScaling::kLongrope;
    rope.original_max_position = original_;
    rope.factor = stretch;
  }

  // LongRoPE (Ding et al. 2024), as Phi-3's code has it.
  double longrope_attention_factor(double stretch) const {
    return stretch <= 1.0 ? 1.0 : std::sqrt(1.0 + std::log(stretch) / std::log(original_));
  }

  double factor() const { return get_number(object_, "factor", max_positions_ / original_); }
  double nonzero(const char* key, double fallback) const {
    const double value = get_number(object_, key, fallback);
    return value == 0.0 ? fallback : value;
  }

  const Json& object_;
  double max_positions_;
  double original_;
};

// Writes "rope_scaling" of a scaling that is not kNone.
Json scaling_json(const ModelConfig& config) {
  const RopeConfig& rope = config.rope;
  const auto original = static_cast<int64_t>(rope.original_max_position);
  switch (rope.scaling) {
    case RopeScaling::kNone:
      break;
    case RopeScaling::kLinear:
      return {{"rope_type", "linear"}, {"factor", rope.factor}};
    case RopeScaling::kDynamic:
      return {{"rope_type", "dynamic"}, {"factor", rope.factor}};
    case RopeScaling::kLlama3:
      return {{"rope_type", "llama3"},
              {"factor", rope.factor},
              {"low_freq_factor", rope.low_freq_factor},
              {"high_freq_factor", rope.high_freq_factor},
              {kOriginalPositions, original}};
    case RopeScaling::kYarn: {
      Json json = {{"rope_type", "yarn"},
                   {"factor", rope.factor},
                   {"attention_factor", rope.attention_factor},
                   {"beta_fast", rope.beta_fast},
                   {"beta_slow", rope.beta_slow},
                   {kOriginalPositions, original}};
      if (!rope.truncate) json["truncate"] = false;
      return json;
    }
    case RopeScaling::kDivisors:
      return {{"rope_type", "longrope"},      {"short_factor", rope.divisors},
              {"long_factor", rope.divisors}, {"factor", 1.0},
              {"attention_factor", 1.0},      {kOriginalPositions, config.max_positions}};
    case RopeScaling::kLongrope:
      return {{"rope_type", "longrope"},
              {"short_factor", rope.divisors},
              {"long_factor", rope.long_divisors},
              {"factor", rope.factor},
              {"attention_factor", rope.attention_factor},
              {kOriginalPositions, original}};
  }
  return nullptr;
}

// Returns the parameters under `key`, which newer files may give by kind of layer ("full_attention"): all
// must be alike, for pare has one rotary embedding a model. Throws kUnsupported where they differ.
const Json& one_for_all(const Json& object, const char* key) {
  const Json* first = nullptr;
  for (const auto& member : object.items()) {
    if (!member.value().is_object()) continue;
    if (first != nullptr && member.value() != *first)
      fail(ErrorCode::kUnsupported, "{}: \"{}\" differs between kinds of layers, which is not supported",
           kWhat, key);
    first = &member.value();
  }
  return first == nullptr ? object : *first;
}

}  // namespace

RopeConfig read_rope(const Json& json, int64_t max_positions, double& rotary_share) {
  RopeConfig rope;
  rope.theta = get_number(json, "rope_theta", rope.theta);
  rotary_share = get_number(json, "partial_rotary_factor", rotary_share);
  const char* scaled_by = nullptr;
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto it = json.find(key);
    if (it == json.end() || it->is_null()) continue;
    require_object(*it, key);
    const Json& object = one_for_all(*it, key);
    const auto number = [&](const char* name, double& value) {
      const auto inner = json_find<double>(object, name, kWhat);
      if (!inner) return;
      if (*inner != value && is_said(json, name))
        log_warning("{}: \"{}\" is {}, and {} in \"{}\", which counts", kWhat, name, value, *inner, key);
      value = *inner;
    };
    number("partial_rotary_factor", rotary_share);
    number("rope_theta", rope.theta);
    RopeConfig own;
    own.theta = rope.theta;
    ScalingReader(json, object, max_positions).read(own);
    if (scaled_by != nullptr && own != rope)
      log_warning("{}: \"{}\" and \"{}\" scale differently: the {} counts", kWhat, scaled_by, key,
                  own.scaling == RopeScaling::kNone ? "former" : "latter");
    if (own.scaling == RopeScaling::kNone) continue;
    rope = own;
    scaled_by = key;
  }
  if (rope.scaling == RopeScaling::kDynamic)
    log_info("rope scaling \"dynamic\": sequences end at the {} tokens up to which it changes nothing",
             max_positions);
  return rope;
}

void write_rope(const ModelConfig& config, Json& json) {
  json["rope_theta"] = config.rope.theta;
  json["rope_scaling"] = scaling_json(config);
  // transformers before 5 looks for it only here.
  if (config.rope.scaling == RopeScaling::kLongrope)
    json[kOriginalPositions] = static_cast<int64_t>(config.rope.original_max_position);
}

}  // namespace pare::decoder
