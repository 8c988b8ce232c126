// Writing a model: Hugging Face weights and config, or one GGUF file.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "checkpoint/chat_info.h"
#include "io/gguf.h"
#include "io/model_dir.h"
#include "io/stored_weight.h"
#include "model/model.h"
#include "text/tokenizer/tokenizer.h"

namespace pare {

// Storage of a model in a Hugging Face folder.
struct SaveOptions {
  // Format of the values of every matrix, dense. Not set: each keeps its own, but codes and blocks become
  // bf16 outside kPacked. Codes (kPacked; int4 without zero points also kPackQuantized) are those of the
  // linears of the layers, blocks (kPacked only) also of embedding and head where their rows divide into
  // blocks; all else is written as if it were not set. kPackQuantized: int4 with a group, which a model whose
  // linears all have it need not be told; its scales get the type of the embedding, bf16 where that is no
  // float.
  std::optional<WeightFormat> dtype = {};
  StorageFormat format = StorageFormat::kPlain;
  // kPacked: pattern of the linears of the layers. Linears that do not fit it stay dense, which is logged.
  // None: each keeps its pattern, a dense linear gets the cheapest that fits (measure_sparsity).
  std::optional<Pattern> pattern = {};
  uint64_t max_shard_bytes = kDefaultShardBytes;
};

// Writes config.json and the weights into an existing folder, the config last; before it, where
// needs_own_code says so, the Python files with which transformers loads it. Tensors are converted one at a
// time. Norms and biases get the type of the embedding when it holds them exactly, else f32. Zeros of
// matrices that are or were in an N:M pattern are +0.0. Throws kUsage for a type that the format does not
// hold or that it lacks, and for a pattern without kPacked, kInvalid when no linear fits it, when there is
// nothing to pack, or when the rows of a linear do not divide into the groups of `dtype`.
void save_hf(const Model& original, const std::filesystem::path& folder, const SaveOptions& wanted = {});

// Returns the bytes of the weight files that save_hf() writes, at most: N:M zeros of dense linears, which
// kPacked leaves out, are counted. Reads no values of matrices: only their formats and shapes have to be
// right.
int64_t planned_hf_bytes(const Model& original, const SaveOptions& wanted);

// `dtype`: an encodable type for every matrix; none keeps the encoding of each, but codes become bf16; N:M
// matrices become dense. Norms and biases are f32; matrices whose rows do not divide into blocks of `dtype`
// become f16 or bf16, which is logged. `chat`: its BOS and EOS go before those of the model's config.
// `manifest`: the text of pare.json, or empty. `further`: metadata that save_gguf() itself does not write.
// Throws kUnsupported when an unmodified llama.cpp could not load the result, kIo also when the free space
// does not suffice.
void save_gguf(const Model& original, const Tokenizer& tokenizer, const std::filesystem::path& path,
               std::optional<Encoding> dtype, const ChatInfo& chat = {}, const std::string& manifest = {},
               std::span<const GgufEntry> further = {});

// Throws what save_gguf_of() would throw for a model of this configuration, made of the one at `input`,
// before any work: what GGUF has no words for in its design, its tokenizer or its metadata.
void require_gguf_of(const std::filesystem::path& input, ModelConfig config);

// Writes a model that was made of the one at `input` as GGUF, with the tokenizer, the chat template and the
// metadata of that one. `manifest`: makes the text of pare.json, for the size that the model has in the file.
// Returns the model as written: value streams that are narrower than llama.cpp wants are made whole. Throws
// as save_gguf does.
Model save_gguf_of(const std::filesystem::path& input, const Model& model, const std::filesystem::path& path,
                   std::optional<Encoding> dtype,
                   const std::function<std::string(const ModelSize& size)>& manifest);

// Returns the bytes of the file that save_gguf_of() writes, where the manifest has so many. Reads no values
// of matrices, as planned_hf_bytes() does. Throws as save_gguf does.
int64_t planned_gguf_bytes(const std::filesystem::path& input, const Model& model,
                           std::optional<Encoding> dtype, int64_t manifest_bytes);

// Returns whether transformers loads the folder that save_hf writes with pare's own code (trust_remote_code):
// all of `pare`, and a way in beside compressed-tensors for its format.
bool needs_own_code(const Model& model, StorageFormat format);

// Returns whether an unmodified checkpoint of the model's family can express it (docs/file_format.md).
bool is_plain(const Model& model);

}  // namespace pare
