// Options of rounding weights to few bits.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "compress/calibrate/linear_calibration.h"
#include "compress/quantize/scheme.h"
#include "model/model.h"

namespace pare {

// Ways to choose codes.
enum class RoundingMethod {
  kNearest,   // the nearest codes, with scales of least squared error
  kWeighted,  // the nearest codes, with scales whose errors are weighted by the inputs' energy
  // The codes of least output error: error feedback (GPTQ, arXiv 2210.17323), then descent of codes and
  // scales.
  kFeedback,
};
extern const std::map<std::string, RoundingMethod> kRoundingWords;

// Kinds of weights of calibration tokens in the Gram matrices.
enum class TokenWeights {
  kNone,  // all count alike
  kLoss,  // LossWeights: the energy of the loss's gradient
};
extern const std::map<std::string, TokenWeights> kTokenWeightsWords;

// Programs that load the result.
enum class Loadable {
  kPare,
  kGguf  // programs that read the types of GGUF
};
extern const std::map<std::string, Loadable> kLoadableWords;

// A limit for which every matrix gets a format of its own: one of the first three members.
struct FormatBudget {
  std::optional<int64_t> bytes;  // most bytes of the written weight files
  std::optional<double> ratio;   // instead of `bytes`: a share of what the run's model takes in bf16
  std::optional<double> decode;  // fewest tokens a second that this machine decodes (DecodeTimes)
  Loadable loadable = Loadable::kPare;
  std::vector<Encoding> formats;  // that may be chosen; empty: those that `loadable` knows

  // Returns the limit in bytes, for the model that the run begins with; nothing where bytes have none.
  std::optional<int64_t> most_bytes(const Model& original) const;
};

struct QuantizeOptions : LinearCalibrationOptions {
  QuantizeScheme format;
  std::optional<QuantizeScheme> embedding;  // that of embedding and head; not set: `format`
  std::optional<FormatBudget> budget;       // chooses formats in place of `format` and `embedding`
  bool keep_embedding = false;              // embedding and head stay as they are
  RoundingMethod method = RoundingMethod::kFeedback;
  TokenWeights weights = TokenWeights::kNone;
  int64_t sweeps = 2;  // kFeedback: rounds of descent behind the feedback
  // As those of Selection: linears to round. Embedding and head are none of them.
  std::vector<std::string> targets;
  std::vector<std::string> ignore;

  // Returns the scheme of embedding and head; nothing where they stay.
  std::optional<QuantizeScheme> table_format() const {
    return keep_embedding ? std::nullopt : std::optional(embedding.value_or(format));
  }
};

// Throws kUsage naming the option that is out of range or does not go with another.
void validate(const QuantizeOptions& options);
// Throws kInvalid naming a matrix whose rows do not divide into blocks, or that nothing is selected.
void require_applicable(const Model& model, const QuantizeOptions& options);
// Returns the options that decide the result, by their names.
Json to_json(const QuantizeOptions& options);

}  // namespace pare
