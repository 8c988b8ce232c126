// Choice of a format for every matrix, under one budget of bytes or of time.
#pragma once

#include <optional>
#include <vector>

#include "compress/pass.h"
#include "compress/quantize/decode_times.h"
#include "compress/quantize/options.h"
#include "compress/quantize/rounding_costs.h"

namespace pare {

// Returns every encoding that a budget may choose.
std::vector<Encoding> candidate_formats(const FormatBudget& budget);

// Returns the matrices that the options select, each with the candidates that fit its rows. A matrix that is
// in codes already may stay as it is, and gets nothing larger.
std::vector<RoundingUnit> rounding_units(const Model& model, const QuantizeOptions& options);

// Returns the formats that take fewest bytes.
QuantizeScheme smallest_formats(const Model& model, const QuantizeOptions& options);

// Throw kInvalid naming the least bytes that the model can be written in when `most` are fewer, or the
// fastest that it decodes when the budget wants more; and when they suffice for 16 bits everywhere.
void require_bytes(const Model& model, const QuantizeOptions& options, int64_t most,
                   const WrittenBytes& written_bytes);
void require_decode(const Model& model, const QuantizeOptions& options, const DecodeTimes& times);

// Returns the encodings whose predicted cost is least among those that meet the budget (RoundingCosts,
// allocate_options). They are compared with the uniform formats that meet it, one encoding for the linears
// and one for embedding and head, of which the best by prediction is tried: both models are rounded alone,
// and the one whose predictions differ less from the model's on held-back tokens of the set is returned. A
// budget of time goes by `times`, which are measured unless they are given; formats that meet it by these are
// decoded with, and others chosen where they do not. Adds an entry of kind "formats" for every matrix to the
// report, and "budget" to `summary`. The choice is recorded in the area. Throws as require_bytes and
// require_decode do.
QuantizeScheme choose_formats(const Model& model, const QuantizeOptions& options, const PassContext& context,
                              std::optional<DecodeTimes> times, Json& summary);

// Return the bytes of memory that choosing takes, and its seconds from a part that is measured now.
int64_t choosing_bytes(const Model& model, const QuantizeOptions& options, const CalibrationPlan& plan);
double choosing_seconds(const Model& model, const QuantizeOptions& options, const CalibrationPlan& plan);

}  // namespace pare
