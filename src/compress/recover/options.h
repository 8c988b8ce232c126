// Options of recovery.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/json.h"

namespace pare {

// What is trained at once: the whole model, on its predictions, or one stage after the other, on its output.
enum class RecoverScope { kModel, kStages };
extern const std::map<std::string, RecoverScope> kRecoverScopes;

struct RecoverOptions {
  RecoverScope scope = RecoverScope::kModel;
  std::string teacher;              // folder or .gguf file of the model to learn from; empty: the run's own
  int64_t steps = 180;              // steps of the optimiser
  int64_t batch_tokens = 4096;      // tokens of a step, at least one sequence
  double rate = 2e-3;               // learning rate at its highest, in sizes of the values
  double code_rate = 1e-3;          // that of values that are rounded to codes
  double scale_rate = 4e-3;         // that of logarithms of scales
  double embedding_rate = 0.1;      // share of these for the values of embedding, positions and head
  double average = 0.98;            // decay of the average of the weights, which is what is checked and kept
  int64_t checks = 10;              // times that the loss on held-back text is measured
  int64_t held_back_tokens = 8192;  // tokens of that text, at least one sequence
  double checkpoint_seconds = 180.0;  // time between two checkpoints, at least; decides nothing else

  // Sequences of a step, and held-back ones.
  int64_t batch(int64_t seqlen) const;
  int64_t held_back(int64_t seqlen) const;
};

// Throws kUsage naming the option that is out of range.
void validate(const RecoverOptions& options);
Json to_json(const RecoverOptions& options);

}  // namespace pare
