// Measures how fast this machine decodes, by the formats of a model's matrices.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "compress/progress.h"
#include "compress/quantize/rounding_costs.h"
#include "model/model.h"

namespace pare {

using MatrixFormats = std::map<MatrixName, Encoding>;

// Returns the seconds that a model, computed with as it is stored, takes for one token behind a context of
// 512 tokens, or of as many as it can have: the median of several rounds, which is what users see.
double decode_seconds(const Model& model);
// Returns the bytes that it takes beside the weights.
int64_t decode_cache_bytes(const Model& model);

// Times of one token, measured once on this machine with as many threads as there are now: the least of
// several rounds, as other work on the machine only adds to them. They differ from one measurement to the
// next.
class DecodeTimes {
 public:
  // Decodes with the model once for every encoding that the units have, each matrix in it where it can be,
  // and times every linear while it does so: its weights come from where they are when the others have been
  // read. Matrices that run as one linear share its time by their bytes. Codes are those of one row,
  // repeated: what they are makes no difference to the time.
  DecodeTimes(const Model& model, const std::vector<RoundingUnit>& units, const PassProgress& progress = {});

  // Returns nanoseconds of a matrix in an encoding that its unit has; 0 of an embedding that is not the head.
  int64_t of(const MatrixName& name, Encoding encoding) const;
  // Returns nanoseconds of all else: attention, norms, other matrices.
  int64_t rest() const { return rest_; }
  // Decodes with all units in these formats; returns nanoseconds.
  int64_t measured(const MatrixFormats& formats) const;
  // Returns the seconds that measuring took.
  double taken() const { return taken_; }

 private:
  void add(const MatrixFormats& formats);

  Model model_;
  std::map<std::pair<MatrixName, Encoding>, int64_t> times_;
  int64_t rest_ = 0;
  double taken_ = 0.0;
};

}  // namespace pare
