#include "pare/compress.h"

#include "api/guard.h"
#include "compress/run/run.h"

namespace pare::api {
namespace {

Encoding encoding_of(WeightType type) {
  switch (type) {
    case WeightType::kF32:
      return Encoding::kF32;
    case WeightType::kF16:
      return Encoding::kF16;
    case WeightType::kInt8:
      return Encoding::kInt8;
    case WeightType::kBF16:
      break;
  }
  return Encoding::kBF16;
}

StorageFormat format_of(Storage storage) {
  if (storage == Storage::kDense) return StorageFormat::kPlain;
  return storage == Storage::kPacked ? StorageFormat::kPacked : StorageFormat::kSparse24Bitmask;
}

pare::Leftover leftover_of(Leftover leftover) {
  if (leftover == Leftover::kRefuse) return pare::Leftover::kRefuse;
  return leftover == Leftover::kContinue ? pare::Leftover::kContinue : pare::Leftover::kDiscard;
}

CompressionOptions options_of(const std::string& model, const std::string& output,
                              const CompressOptions& options) {
  CompressionOptions all;
  all.model = model;
  all.out = output;
  all.calib = options.calib;
  all.nsamples = options.nsamples;
  all.seqlen = options.seqlen;
  all.seed = options.seed;
  if (options.dtype) all.dtype = encoding_of(*options.dtype);
  all.format = format_of(options.format);
  all.memory = options.memory;
  all.leftover = leftover_of(options.leftover);
  return all;
}

}  // namespace

Compressed compress(const std::string& model, const std::string& recipe, const std::string& output,
                    const CompressOptions& options, const Progress& progress) {
  return guarded([&] {
    const Json manifest = run_compression(options_of(model, output, options), parse_recipe(recipe),
                                          local_comm(), {.progress = progress, .resumable = {}})
                              .manifest;
    const auto size = [&](const char* when, const char* what) {
      return manifest.at(when).at(what).get<int64_t>();
    };
    return Compressed{.parameters_before = size("before", "parameters"),
                      .parameters_after = size("after", "parameters"),
                      .bytes_before = size("before", "bytes"),
                      .bytes_after = size("after", "bytes"),
                      .manifest = manifest.dump(2) + "\n"};
  });
}

CompressionCost compression_cost(const std::string& model, const std::string& recipe,
                                 const std::string& output, const CompressOptions& options) {
  return guarded([&] {
    const pare::CompressionCost cost =
        cost_of_compression(options_of(model, output, options), parse_recipe(recipe), local_comm());
    return CompressionCost{.memory = cost.needs.memory,
                           .activations = cost.needs.activations,
                           .disk = cost.needs.disk,
                           .seconds = cost.seconds};
  });
}

}  // namespace pare::api
