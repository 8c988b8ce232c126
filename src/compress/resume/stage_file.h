// A stage of a model as a file, to keep finished work.
#pragma once

#include <filesystem>

#include "model/model.h"

namespace pare {

// Writes the norm's vectors, linears and skip, matrices in `dtype`, atomically. Throws kIo.
void write_stage(const std::filesystem::path& path, const Stage& stage, Encoding dtype);
// Returns `like` with the weights of the file, which stay mapped; widths are those of the file. Throws as
// read_safetensors does, and kFormat or kNotFound naming the tensor that does not fit.
Stage read_stage(const std::filesystem::path& path, const Stage& like);

// Write and read a single matrix as write_stage and read_stage do.
void write_weight(const std::filesystem::path& path, const Weight& weight, Encoding dtype);
Weight read_weight(const std::filesystem::path& path);

}  // namespace pare
