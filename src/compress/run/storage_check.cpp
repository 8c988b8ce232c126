#include "compress/run/storage_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "checkpoint/load.h"
#include "checkpoint/save.h"
#include "compress/kept_patterns.h"
#include "model/visit.h"
#include "tensor/sparse_weight.h"

namespace pare {

void require_storable(const CompressionOptions& options, const Passes& passes, const Model& model) {
  const bool int8 = options.dtype == Encoding::kInt8;
  if (is_gguf_path(options.out)) {
    if (int8 || options.format != StorageFormat::kPlain)
      fail(ErrorCode::kUsage, "a .gguf file is dense: `format` and `dtype int8` need a folder");
    for (const auto& pass : passes)
      if (const std::string reason = pass->no_gguf(model); !reason.empty())
        fail(ErrorCode::kUsage, "{} needs a folder as output: {}", pass->name(), reason);
    require_gguf_of(options.model, model.config);
    return;
  }
  if (options.format == StorageFormat::kPackQuantized)
    fail(ErrorCode::kUsage, "`format {}` is for a conversion of the finished result",
         storage_format_name(options.format));
  if (makes_codes(passes, model)) {
    if (int8 || options.format != StorageFormat::kPlain)
      fail(ErrorCode::kUsage,
           "a pass makes codes, which are stored packed: `format` and `dtype int8` say otherwise");
    return;
  }
  if (int8 && options.format != StorageFormat::kPacked)
    fail(ErrorCode::kUsage, "`dtype int8` needs `format packed`");
  if (options.format == StorageFormat::kPlain) return;
  const std::vector<SparseLinear> kept = kept_linears(model, passes);
  const auto any = [&](auto&& suits) {
    return std::any_of(passes.begin(), passes.end(),
                       [&](const auto& pass) { return suits(pass->pattern()); }) ||
           std::any_of(kept.begin(), kept.end(), [&](const SparseLinear& l) { return suits(l.pattern); });
  };
  if (options.format == StorageFormat::kPacked && !int8 && !any([](Pattern p) { return !p.dense(); }))
    fail(ErrorCode::kUsage,
         "`format packed` needs `dtype int8`, a pass that makes linears sparse or a model that stays so");
  if (options.format == StorageFormat::kSparse24Bitmask && !any([](Pattern p) { return implies(p, k2of4); }))
    fail(ErrorCode::kUsage,
         "`format {}` needs a pass that makes linears 2:4 sparse, or a model that stays so",
         storage_format_name(options.format));
}

void warn_of_lost_storage(const CompressionOptions& options, const Model& model) {
  std::set<int64_t> bits;  // bits of codes
  int64_t codes = 0;
  int64_t packed = 0;
  for_each_tensor(
      model,
      [&](const TensorPlace&, const Weight& weight) {
        packed += weight.format.pattern.dense() ? 0 : 1;
        const EncodingInfo& info = encoding_info(weight.format.encoding);
        if (info.kind != EncodingKind::kCode) return;
        ++codes;
        bits.insert(8 * info.block_bytes / info.block_values);
      },
      [](const TensorPlace&, const std::vector<float>&) {});
  if (codes > 0 && options.dtype != Encoding::kInt8)
    log_warning(
        "{} matrices are stored in {} bits and will be written in 16; `format packed` `dtype int8` rounds "
        "the result to 8 bits again",
        codes, fmt::join(bits, " or "));
  if (packed > 0 && options.format == StorageFormat::kPlain)
    log_warning(
        "{} sparse matrices are stored without their zeros and will be written with them; `format packed` "
        "leaves them out again",
        packed);
}

}  // namespace pare
