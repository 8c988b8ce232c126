/// Models made smaller and faster, without training.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pare/library.h"

namespace pare::api {

/// Type of the matrices that are written.
enum class WeightType {
  kF32,
  kF16,
  kBF16,
  kInt8,  ///< 8-bit linears of the layers, one scale a row; needs Storage::kPacked.
};

/// Storage of N:M sparse linears.
enum class Storage {
  kDense,            ///< Zeros are stored too: any program loads the result.
  kPacked,           ///< Kept values and a mask.
  kSparse24Bitmask,  ///< Format of compressed-tensors 0.9 to 0.14; needs 2:4.
};

/// Treatment of the work that an interrupted run has left.
enum class Leftover {
  kRefuse,    ///< Throws, if there is finished work.
  kContinue,  ///< Continues finished work; begins when there is none.
  kDiscard,   ///< Discards finished work and begins again.
};

struct CompressOptions {
  /// Calibration text: files of UTF-8 text or of JSON records with a "text" each, gzip too; "self" is text
  /// that the model writes. The samples are spread over all of these.
  std::vector<std::string> calib = {"self"};
  std::int64_t nsamples = 64;  ///< Calibration sequences, 1 or more.
  std::int64_t seqlen = 1024;  ///< Tokens of a calibration sequence, 2 or more; cut to the model's context.
  std::uint64_t seed = 0;      ///< Seed of all random choices. The same seed and input give the same bytes.
  std::optional<WeightType> dtype = {};  ///< Written type. Not set: the model's, bfloat16 for quantised ones.
  Storage format = Storage::kDense;
  /// Bytes of memory that may be used. Not set: half of what the machine has.
  std::optional<std::int64_t> memory = {};
  Leftover leftover = Leftover::kRefuse;
};

/// Result of a compression. Sizes are those of what is stored, a tied head once.
struct Compressed {
  std::int64_t parameters_before = 0;
  std::int64_t parameters_after = 0;
  std::int64_t bytes_before = 0;
  std::int64_t bytes_after = 0;
  std::string manifest = {};  ///< The text of pare.json (JSON, docs/file_format.md): recipe, errors, checks.
};

/// Memory, disk space and time that a compression takes.
struct CompressionCost {
  std::int64_t memory = 0;       ///< Bytes of memory needed at once.
  std::int64_t activations = 0;  ///< Bytes of activations, kept in memory where there is room, else on disk.
  std::int64_t disk = 0;         ///< Bytes on disk during the run, output included.
  double seconds = 0.0;          ///< Estimate from one layer that is measured now.
};

/// Runs the passes of `recipe` over the model at `model` and writes a new Hugging Face folder `output`.
///
/// A recipe names passes in order, separated by commas: "slice:0.1,sparsify:2:4" takes a tenth of the
/// parameters (SliceGPT, arXiv 2401.15024, and streams inside the layers) and keeps two of every four weights
/// (E-Sparse, arXiv 2310.15929). Options of a pass follow its name: "sparsify:2:4:best",
/// "slice:0.1:streams=hidden". `pare slice --help` and `pare sparsify --help` list them.
///
/// Finished work stays on disk when the process is killed; a call with Leftover::kContinue continues it.
/// Throws Error kUsage for options and recipes that make no sense, kInvalid for what the model, the text, the
/// memory or the disk does not allow, kNumeric when an exact step fails its check, and as Model::load() does.
Compressed compress(const std::string& model, const std::string& recipe, const std::string& output,
                    const CompressOptions& options = {}, const Progress& progress = {});

/// Returns what compress() would take, and throws what it would throw before it works. Writes nothing.
CompressionCost compression_cost(const std::string& model, const std::string& recipe,
                                 const std::string& output, const CompressOptions& options = {});

}  // namespace pare::api
