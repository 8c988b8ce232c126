// Recovery stage by stage: memory for one stage, whatever the size of the model.
#pragma once

#include <memory>

#include "compress/pass.h"
#include "compress/recover/options.h"

namespace pare {

// Throws kInvalid unless the two models have as many stages, with streams of the same widths behind them, and
// in the same basis: rotated or shuffled channels are told by the embedding.
void require_same_streams(const Model& model, const Model& teacher);

// Returns an editor that trains each stage, behind those that are trained, to give what the teacher's stage
// gives in the teacher: by the squared distance, `steps` steps a stage on the sequences of the walk.
// The average with the least distance on held-back sequences is kept, or the stage as it was. Keeps
// references.
std::unique_ptr<StageEditor> recover_stages(const Model& teacher, const ModelConfig& config,
                                            const RecoverOptions& options, const PassContext& context);

}  // namespace pare
