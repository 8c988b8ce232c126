// Where calibration text comes from.
#pragma once

#include <optional>
#include <vector>

#include "compress/pass.h"
#include "compress/run/options.h"
#include "text/tokenizer/tokenizer.h"

namespace pare {

// Throws kUsage when a source is named twice, or gets no sample.
void require_sources(const CompressionOptions& options);

// The samples of a run, split over so many ranks.
CalibrationPlan plan_of(const CompressionOptions& options, const ModelConfig& config, int ranks);

// "self + text": what kinds of text there are, in the order of the sources.
std::string source_kinds(const CompressionOptions& options);

// The model's tokenizer, which texts need. What the model writes itself does not: one that cannot be read is
// then only warned of.
std::optional<Tokenizer> tokenizer_for(const CompressionOptions& options);

// The sets of the texts, in the order of the sources; that of the model itself is left empty. Throws as
// read_text and calibration_from_text() do.
std::vector<CalibrationSet> text_sets(const CompressionOptions& options,
                                      const std::optional<Tokenizer>& tokenizer, const ModelConfig& config,
                                      int64_t seqlen);

}  // namespace pare
