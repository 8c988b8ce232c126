// Sources of calibration text.
#pragma once

#include <optional>
#include <vector>

#include "compress/pass.h"
#include "compress/run/options.h"
#include "text/tokenizer/tokenizer.h"

namespace pare {

// Throws kUsage when a source is named twice, or gets no sample.
void require_sources(const CompressionOptions& options);

// Returns the samples of a run, split over so many ranks.
CalibrationPlan plan_of(const CompressionOptions& options, const Passes& passes, const ModelConfig& config,
                        int ranks);

// Throws kInvalid unless models that passes bring along, which write or teach, can read the run's sequences.
void require_writers(const Passes& passes, const ModelConfig& config, const CalibrationPlan& plan);

// Returns the kinds of text, in the order of the sources: "self + text".
std::string source_kinds(const CompressionOptions& options);

// Returns the model's tokenizer, which texts need. Text that the model writes does not need it: then a
// tokenizer that cannot be read is only warned of.
std::optional<Tokenizer> tokenizer_for(const CompressionOptions& options);

// The sets of the texts, in the order of the sources, with what the plan trains on where a text has so much;
// that of the model itself is left empty. Throws as read_text and calibration_from_text() do.
std::vector<CalibrationSet> text_sets(const CompressionOptions& options,
                                      const std::optional<Tokenizer>& tokenizer, const ModelConfig& config,
                                      const CalibrationPlan& plan);

// Makes the plan train on no more sequences than the texts have.
void fit_to_texts(CalibrationPlan& plan, const std::vector<CalibrationSet>& sets);

}  // namespace pare
