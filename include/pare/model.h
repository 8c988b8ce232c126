/// Models that are loaded and run.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pare/generate.h"

namespace pare::api {

/// Number types of products. Inputs and outputs are 32-bit floats in any case.
enum class Precision {
  kF32,   ///< 32-bit weights and activations.
  kBF16,  ///< Weights and activations rounded to bfloat16, 32-bit sums.
  kInt8,  ///< Weights rounded to 8 bits with one scale a row, activations to bfloat16, 32-bit sums.
  /// Weights of 2 to 8 bits as the files have them, activations of 13 bits or more for few tokens and
  /// rounded to bfloat16 for many, 32-bit sums. Other weights as kBF16.
  kStored,
};

/// Facts about a model. Sizes are counts of tokens, channels or values.
struct ModelInfo {
  std::string architecture = {};  ///< Name of the family in pare.
  std::int64_t vocab_size = 0;    ///< Number of token ids.
  std::int64_t context = 0;       ///< Most tokens of a sequence.
  std::int64_t layers = 0;
  /// Number of stored values: a tied head counts once, an N:M sparse matrix its kept values.
  std::int64_t parameters = 0;
  std::int64_t bytes = 0;            ///< Bytes of the stored weights.
  std::int64_t bytes_per_token = 0;  ///< Bytes of weights read for one token at this precision.
};

/// A language model with its tokenizer, packed for the instruction set of this machine.
///
/// A model is used by one thread at a time; its computations use several (set_threads). It can be moved, not
/// copied. A moved-from model may only be destroyed or assigned to.
class Model {
 public:
  /// Loads a Hugging Face folder (config.json, safetensors weights, a tokenizer) or a .gguf file. Weights are
  /// mapped and packed once, so memory holds about a packed copy of them.
  ///
  /// Throws Error kNotFound, kFormat or kUnsupported naming the file, key or tensor, kNumeric naming a tensor
  /// with a NaN or an infinity, kMemory.
  static Model load(const std::string& path, Precision precision = Precision::kStored);

  Model(Model&& other) noexcept;
  Model& operator=(Model&& other) noexcept;
  ~Model();

  ModelInfo info() const;

  /// Returns the token ids of a UTF-8 text. `special`: adds BOS and EOS where the tokenizer does, and reads
  /// special tokens that are written in the text as such. The text is shorter than 2 GiB.
  std::vector<std::int32_t> encode(std::string_view text, bool special = true) const;
  /// Returns the text of token ids without special tokens. It is UTF-8 unless the ids cut a character in two.
  /// Throws Error kInvalid for an id outside the vocabulary.
  std::string decode(std::span<const std::int32_t> ids) const;

  /// Returns logits of the token behind each of the given ones, (ids.size(), vocab_size), row by row; natural
  /// logarithms of probabilities but for a constant a row. Throws Error kInvalid when there are no ids, more
  /// than the context holds, or one outside the vocabulary.
  std::vector<float> logits(std::span<const std::int32_t> ids) const;

  /// Continues a text. `sink` receives what is written as it is written. Throws Error kUsage naming an option
  /// that is out of range, and kInvalid when the prompt does not fit the context.
  Generated generate(std::string_view prompt, const GenerateOptions& options = {},
                     const TextSink& sink = {}) const;

 private:
  struct Impl;
  explicit Model(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pare::api
