// One stage of a model as a file: how finished work is put aside.
#pragma once

#include <filesystem>

#include "model/model.h"

namespace pare {

// Writes the norm's vectors, linears and skip, matrices in `dtype`, atomically. Throws kIo.
void write_stage(const std::filesystem::path& path, const Stage& stage, Encoding dtype);
// `like` with the weights of the file, which stay mapped; widths are those of the file. Throws what
// read_safetensors throws, and kFormat or kNotFound naming the tensor that does not fit.
Stage read_stage(const std::filesystem::path& path, const Stage& like);

// The same for a single matrix.
void write_weight(const std::filesystem::path& path, const Weight& weight, Encoding dtype);
Weight read_weight(const std::filesystem::path& path);

}  // namespace pare
