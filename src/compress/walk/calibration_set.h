// The token sequences a compression measures activations on.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "compress/progress.h"
#include "compress/resume/work_area.h"
#include "runtime/packed_model.h"
#include "text/files/documents.h"
#include "text/tokenizer/tokenizer.h"

namespace pare {

struct CalibrationSet {
  std::vector<std::vector<int32_t>> sequences;  // all of one length
  std::string source;                           // file name, "self", or several with " + " between them
  std::string sha256;                           // SHA-256 of the tokens, little-endian int32, in order
  uint64_t seed = 0;                            // seed of what passes draw while they calibrate

  int64_t tokens() const;
  int64_t seqlen() const { return sequences.empty() ? 0 : static_cast<int64_t>(sequences.front().size()); }
};

// Takes the first consecutive windows of `seqlen` tokens of a text, or of a data set's documents one behind
// another (document_ids; `ends`: the model's ends of sequence): `nsamples`, and up to `at_most` where there
// are more. Throws kInvalid when there are too few, naming how many tokens there are and how many are needed,
// and when the tokenizer does not know the text.
CalibrationSet calibration_from_text(const Tokenizer& tokenizer, const Documents& documents,
                                     std::span<const int32_t> ends, int64_t nsamples, int64_t seqlen,
                                     int64_t at_most = 0);

// Returns the first `count` sequences of a set.
CalibrationSet first_sequences(const CalibrationSet& set, int64_t count);

// Number of sequences that are written at once: their KV caches stay below 2 GB.
int64_t calibration_group(const ModelConfig& config, int64_t nsamples, int64_t seqlen);

// Lets the model write its own text: `nsamples` sequences sampled at temperature 1. Every second one begins
// with the BOS token, if there is one, the others with a token drawn from the ordinary vocabulary, for
// variety (LLM-QAT, arXiv 2305.17888). The tokenizer says which are ordinary; without one (null) all are.
// Needs no data; same seed, same text. The area records every group; ranks write groups side by side.
CalibrationSet calibration_from_model(const Model& model, const Tokenizer* tokenizer, int64_t nsamples,
                                      int64_t seqlen, uint64_t seed, WorkArea& area,
                                      const PassProgress& progress = {});

// Sizes of the sets that changes of single stages are measured with.
struct MeasuringSizes {
  int64_t gram_sequences = 8;   // calibration sequences that give the Gram matrices
  int64_t probe_sequences = 4;  // other sequences (when there are enough) that give the loss
  int64_t probe_tokens = 256;   // tokens of each of these
};
struct MeasuringSets {
  CalibrationSet gram;
  CalibrationSet probe;
};
MeasuringSets split_for_measuring(const CalibrationSet& set, const MeasuringSizes& sizes = {});

// Mixes all sets in turn: one sequence of each, then the next of each. Throws kInvalid when their lengths
// differ.
CalibrationSet mixed_calibration(const std::vector<CalibrationSet>& sets);

}  // namespace pare
