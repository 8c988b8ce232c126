#include "checkpoint/generation_config.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "base/log.h"
#include "base/mapped_file.h"
#include "checkpoint/end_tokens.h"
#include "checkpoint/load.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFile = "generation_config.json";
constexpr uint64_t kMaxBytes = 16 << 20;
constexpr double kLargest = 1e6;        // largest temperature or penalty
constexpr int64_t kMaxCount = 1 << 30;  // largest number of tokens

// Keys of generation_config.json that change which tokens are chosen, and the values with which they do not.
struct Foreign {
  const char* key;
  double neutral;
};
constexpr Foreign kForeign[] = {
    {"typical_p", 1.0},      {"epsilon_cutoff", 0.0},       {"eta_cutoff", 0.0},
    {"top_h", 0.0},          {"no_repeat_ngram_size", 0.0}, {"encoder_repetition_penalty", 1.0},
    {"num_beams", 1.0},      {"penalty_alpha", 0.0},        {"min_length", 0.0},
    {"min_new_tokens", 0.0}, {"guidance_scale", 1.0},       {"presence_penalty", 0.0},
    {"xtc_probability", 0.0}};
constexpr const char* kForeignLists[] = {"suppress_tokens",     "begin_suppress_tokens",
                                         "bad_words_ids",       "sequence_bias",
                                         "force_words_ids",     "exponential_decay_length_penalty",
                                         "forced_bos_token_id", "forced_eos_token_id"};
constexpr const char* kForeignGguf[] = {"xtc_probability", "mirostat"};

template <typename T>
T in_range(T value, bool ok, std::string_view what, std::string_view key, std::string_view expected) {
  if (!ok) fail(ErrorCode::kInvalid, "{}: \"{}\" is {}, expected {}", what, key, value, expected);
  return value;
}

double temperature(double value, std::string_view what, std::string_view key) {
  return in_range(value, value >= 0.0 && value <= kLargest, what, key, "0 or more");
}
// Reads a mass, where 0 is what some call greedy: the set is the first token alone.
double mass(double value, std::string_view what, std::string_view key) {
  in_range(value, value >= 0.0 && value <= 1.0, what, key, "0..1");
  return std::max(value, std::numeric_limits<double>::min());
}
double share(double value, std::string_view what, std::string_view key) {
  return in_range(value, value >= 0.0 && value <= 1.0, what, key, "0..1");
}
double penalty(double value, std::string_view what, std::string_view key) {
  return in_range(value, value > 0.0 && value <= kLargest, what, key, "more than 0");
}
// Reads a top-k: -1 and 0 both mean all.
int64_t count_of_best(int64_t value, std::string_view what, std::string_view key) {
  return std::max<int64_t>(0, in_range(value, value >= -1 && value <= kMaxCount, what, key, "-1 or more"));
}

void warn_of_foreign(const std::vector<std::string>& keys, const std::string& what) {
  if (!keys.empty())
    log_warning("{} asks for {}, which pare does not do: it is left out", what, fmt::join(keys, ", "));
}

bool says_nothing(const Json& value, double neutral) {
  return value.is_null() || value == false || (value.is_number() && value.get<double>() == neutral);
}

void warn_of_foreign(const Json& json, const std::string& what) {
  std::vector<std::string> keys;
  const auto check = [&](const char* key, double neutral) {
    const auto it = json.find(key);
    if (it == json.end() || says_nothing(*it, neutral) || (it->is_structured() && it->empty())) return;
    keys.push_back(fmt::format("\"{}\"", key));
  };
  for (const Foreign& foreign : kForeign) check(foreign.key, foreign.neutral);
  for (const char* key : kForeignLists) check(key, std::numeric_limits<double>::quiet_NaN());
  warn_of_foreign(keys, what);
}

std::optional<Json> read_file_json(const fs::path& path) {
  if (!fs::is_regular_file(path)) return std::nullopt;
  Json json = parse_json(read_file(path, kMaxBytes), path.string());
  if (!json.is_object()) fail(ErrorCode::kFormat, "{}: expected a JSON object", path.string());
  return json;
}

GenerationConfig read_folder(const fs::path& folder) {
  GenerationConfig config;
  const fs::path path = folder / kFile;
  const std::optional<Json> json = read_file_json(path);
  if (!json) return config;
  const std::string what = path.string();
  const auto number = [&](const char* key, auto check) -> std::optional<double> {
    const auto value = json_find<double>(*json, key, what);
    return value ? std::optional(check(*value, what, key)) : std::nullopt;
  };
  config.source = kFile;
  config.do_sample = json_find<bool>(*json, "do_sample", what);
  config.temperature = number("temperature", temperature);
  config.top_p = number("top_p", mass);
  config.min_p = number("min_p", share);
  config.repetition_penalty = number("repetition_penalty", penalty);
  if (const auto k = json_find<int64_t>(*json, "top_k", what))
    config.top_k = count_of_best(*k, what, "top_k");
  if (const auto most = json_find<int64_t>(*json, "max_new_tokens", what))
    config.max_new_tokens =
        in_range(*most, *most >= 1 && *most <= kMaxCount, what, "max_new_tokens", "1 or more");
  warn_of_foreign(*json, what);
  return config;
}

// Returns an f32 as it was meant: 0.8 and not 0.800000011920929.
double shortest(float value) { return std::strtod(fmt::format("{}", value).c_str(), nullptr); }

// Reads a number of any type; files have both kinds. Throws kFormat for what is no number.
std::optional<double> gguf_number(const GgufMetadata& metadata, const std::string& key) {
  const GgufValue* value = metadata.find(key);
  if (value == nullptr) return std::nullopt;
  return std::visit(
      [&](const auto& v) -> double {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, float>)
          return shortest(v);
        else if constexpr (std::is_arithmetic_v<T>)
          return static_cast<double>(v);
        else
          fail(ErrorCode::kFormat, "GGUF metadata \"{}\" is not a number", key);
      },
      *value);
}

std::string gguf_key(std::string_view name) { return fmt::format("general.sampling.{}", name); }

GenerationConfig read_gguf_sampling(const fs::path& path) {
  const GgufFile file = read_gguf(path);
  GenerationConfig config;
  const auto number = [&](const char* name, auto check) -> std::optional<double> {
    const auto value = gguf_number(file.metadata, gguf_key(name));
    if (value) config.source = gguf_key("*");
    return value ? std::optional(check(*value, file.name, gguf_key(name))) : std::nullopt;
  };
  // llama.cpp is greedy at and below 0.
  config.temperature = number("temp", [](double value, const std::string& what, const std::string& key) {
    return temperature(std::max(value, 0.0), what, key);
  });
  config.top_p = number("top_p", mass);
  config.min_p = number("min_p", share);
  config.repetition_penalty = number("penalty_repeat", penalty);
  const auto k = number("top_k", [](double value, const std::string& what, const std::string& key) {
    return in_range(value, std::abs(value) <= static_cast<double>(kMaxCount), what, key, "a count");
  });
  if (k) config.top_k = std::max<int64_t>(0, static_cast<int64_t>(*k));
  std::vector<std::string> foreign;
  for (const char* name : kForeignGguf)
    if (gguf_number(file.metadata, gguf_key(name)).value_or(0.0) != 0.0) foreign.push_back(gguf_key(name));
  warn_of_foreign(foreign, file.name);
  return config;
}

// Returns the temperature that a configuration asks for, 1 where it samples and names none; nothing where it
// does not say whether to sample.
std::optional<double> temperature_of(const GenerationConfig& config) {
  if (config.do_sample == false) return 0.0;
  const bool names_a_step = config.temperature || config.top_k || config.top_p || config.min_p;
  if (!names_a_step && config.do_sample != true) return std::nullopt;
  return config.temperature.value_or(1.0);
}

}  // namespace

GenerationConfig read_generation_config(const fs::path& model_path) {
  return is_gguf_path(model_path) ? read_gguf_sampling(model_path) : read_folder(model_path);
}

std::vector<int32_t> read_generation_ends(const fs::path& folder) {
  const fs::path path = folder / kFile;
  const std::optional<Json> json = read_file_json(path);
  return json ? read_token_ids(*json, "eos_token_id", path.string()) : std::vector<int32_t>();
}

SamplingOptions sampling_of(const GenerationConfig& config, SamplingOptions otherwise) {
  SamplingOptions sampling = otherwise;
  sampling.temperature = temperature_of(config).value_or(sampling.temperature);
  sampling.top_k = config.top_k.value_or(sampling.top_k);
  sampling.top_p = config.top_p.value_or(sampling.top_p);
  sampling.min_p = config.min_p.value_or(sampling.min_p);
  sampling.repetition_penalty = config.repetition_penalty.value_or(sampling.repetition_penalty);
  return sampling;
}

std::string describe(const SamplingOptions& sampling) {
  std::string text = "greedy";
  if (sampling.temperature > 0.0) {
    text = fmt::format("temperature {:g}", sampling.temperature);
    if (sampling.top_k > 0) text += fmt::format(", top-k {}", sampling.top_k);
    if (sampling.top_p < 1.0) text += fmt::format(", top-p {:g}", sampling.top_p);
    if (sampling.min_p > 0.0) text += fmt::format(", min-p {:g}", sampling.min_p);
  }
  if (sampling.repetition_penalty != 1.0)
    text += fmt::format(", repetition penalty {:g}", sampling.repetition_penalty);
  return text;
}

std::vector<GgufEntry> gguf_sampling_entries(const GenerationConfig& config) {
  std::vector<GgufEntry> entries;
  const auto add = [&](const char* name, std::optional<double> value) {
    if (value) entries.push_back({gguf_key(name), static_cast<float>(*value)});
  };
  const bool greedy = config.do_sample == false;
  if (config.top_k && !greedy) entries.push_back({gguf_key("top_k"), static_cast<int32_t>(*config.top_k)});
  if (!greedy) {
    add("top_p", config.top_p);
    add("min_p", config.min_p);
  }
  // Some read a file that names no temperature as greedy.
  add("temp", temperature_of(config));
  add("penalty_repeat", config.repetition_penalty);
  return entries;
}

Json generation_json(const GenerationConfig& config) {
  Json json = Json::object();
  const auto add = [&](const char* key, std::optional<double> value) {
    if (value) json[key] = *value;
  };
  const bool samples = config.temperature || config.top_k || config.top_p || config.min_p;
  if (config.do_sample)
    json["do_sample"] = *config.do_sample;
  else if (samples)
    json["do_sample"] = config.temperature.value_or(1.0) > 0.0;
  if (config.temperature.value_or(1.0) > 0.0) {
    add("temperature", config.temperature);
    if (config.top_k) json["top_k"] = *config.top_k;
    add("top_p", config.top_p);
    add("min_p", config.min_p);
  }
  add("repetition_penalty", config.repetition_penalty);
  return json;
}

}  // namespace pare
