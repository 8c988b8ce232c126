// A compressed model as a folder or a GGUF file that other programs load.
#pragma once

#include <filesystem>
#include <optional>

#include "checkpoint/save.h"
#include "compress/report.h"
#include "compress/walk/calibration_set.h"
#include "io/output_folder.h"

namespace pare {

// Writes weights, config, tokenizer files, pare.json (the manifest: recipe, sizes, errors) and documents to
// `output`, or all of it but the documents to one GGUF file where its name is that of one, reads the weights
// back and compares logits on the probe before the folder gets its name. `input`: the original model's path.
// `options` as for save_hf. Throws kIo when it cannot be written, kNumeric when the written model does not
// compute the same, kInvalid when the weight files have more than `most_bytes`. Sets report.after and
// report.linears to what was written.
void write_compressed(const Model& model, const std::filesystem::path& input, OutputFolder& output,
                      const SaveOptions& options, const CalibrationSet& set, Report& report,
                      std::optional<int64_t> most_bytes = {});

// Returns the bytes of the weight files that write_compressed() writes for a model, at most. `earlier`: as in
// the report.
int64_t planned_bytes(const Model& model, const std::filesystem::path& input,
                      const std::filesystem::path& output, const SaveOptions& options,
                      const std::vector<Json>& earlier = {});

}  // namespace pare
