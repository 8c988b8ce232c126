/// Options and results of text generation (Model::generate).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pare::api {

/// Options of continuing a text. A field that is not set has the value of the model's own files
/// (generation_config.json, or general.sampling.* of a GGUF file), else the value in brackets here.
struct GenerateOptions {
  std::optional<std::int64_t> max_tokens = {};  ///< Tokens to generate at most, 0 or more (256).
  std::optional<double> temperature = {};       ///< 0 or more; 0: always the most probable token (0).
  std::optional<std::int64_t> top_k = {};       ///< Draw from the k most probable tokens; 0: from all (0).
  /// Draw from the smallest set with this probability, above 0, at most 1 (1).
  std::optional<double> top_p = {};
  /// Leave out tokens less probable than this share of the most probable one, 0 to 1 (0).
  std::optional<double> min_p = {};
  std::optional<double> repetition_penalty = {};  ///< Above 1: tokens already seen become less likely (1).
  std::uint64_t seed = 0;                         ///< Seed of all draws: the same seed draws the same text.
  std::vector<std::string> stop = {};  ///< Texts that end the generation; never part of the result.
  bool ignore_eos = false;             ///< Continues after a token that ends a text.
};

/// Receives text in whole characters as it becomes complete; returns whether to continue.
using TextSink = std::function<bool(std::string_view text)>;

enum class Finish {
  kEos,        ///< A token that ends a text was drawn.
  kStop,       ///< A stop text was written.
  kLength,     ///< max_tokens were written, or the context is full.
  kCancelled,  ///< The sink returned false.
};

struct Generated {
  std::string text = {};                  ///< UTF-8; bytes that are no characters are U+FFFD.
  std::vector<std::int32_t> tokens = {};  ///< Ids that were generated, without the one that ends a text.
  Finish finish = Finish::kLength;
  std::int64_t prompt_tokens = 0;
  double prefill_seconds = 0.0;  ///< Seconds until the first token was chosen.
  double decode_seconds = 0.0;   ///< Seconds from the first token to the end.
};

}  // namespace pare::api
