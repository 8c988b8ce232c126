#include "pare/model.h"

#include <utility>

#include "api/guard.h"
#include "api/precision.h"
#include "checkpoint/load.h"
#include "engine/generator.h"
#include "engine/model_defaults.h"
#include "engine/open_model.h"
#include "runtime/forward.h"

namespace pare::api {
namespace {

GenerationChoice choice_of(const GenerateOptions& options) {
  return {.sampling = {.temperature = options.temperature,
                       .top_k = options.top_k,
                       .top_p = options.top_p,
                       .min_p = options.min_p,
                       .repetition_penalty = options.repetition_penalty},
          .max_tokens = options.max_tokens,
          .seed = options.seed,
          .stop = options.stop,
          .ignore_eos = options.ignore_eos};
}

Finish finish_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::kEos:
      return Finish::kEos;
    case FinishReason::kStop:
      return Finish::kStop;
    case FinishReason::kLength:
      return Finish::kLength;
    case FinishReason::kCancelled:
      break;
  }
  return Finish::kCancelled;
}

}  // namespace

ComputeType compute_type(Precision precision) {
  switch (precision) {
    case Precision::kF32:
      return ComputeType::kF32;
    case Precision::kBF16:
      return ComputeType::kBF16;
    case Precision::kInt8:
      return ComputeType::kInt8;
    case Precision::kStored:
      break;
  }
  return ComputeType::kStored;
}

struct Model::Impl {
  OpenModel model;
  Tokenizer tokenizer;
  pare::GenerateOptions defaults;
};

Model Model::load(const std::string& path, Precision precision) {
  return guarded([&] {
    Tokenizer tokenizer = load_tokenizer(path);
    OpenModel model = open_model(path, compute_type(precision));
    pare::GenerateOptions defaults = model_defaults(path, read_chat_info(path, tokenizer)).options;
    return Model(std::make_unique<Impl>(Impl{std::move(model), std::move(tokenizer), std::move(defaults)}));
  });
}

Model::Model(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model::Model(Model&& other) noexcept = default;
Model& Model::operator=(Model&& other) noexcept = default;
Model::~Model() = default;

ModelInfo Model::info() const {
  const ModelConfig& config = impl_->model.packed.config;
  return {.architecture = config.architecture,
          .vocab_size = config.vocab_size,
          .context = config.max_positions,
          .layers = static_cast<int64_t>(config.blocks.size()),
          .parameters = impl_->model.size.parameters,
          .bytes = impl_->model.size.bytes,
          .bytes_per_token = impl_->model.packed.bytes_per_token()};
}

std::vector<int32_t> Model::encode(std::string_view text, bool special) const {
  return guarded([&] { return impl_->tokenizer.encode(text, {special, special}); });
}

std::string Model::decode(std::span<const int32_t> ids) const {
  return guarded([&] { return impl_->tokenizer.decode({ids.begin(), ids.end()}); });
}

std::vector<float> Model::logits(std::span<const int32_t> ids) const {
  return guarded([&] {
    const PackedModel& packed = impl_->model.packed;
    const auto count = static_cast<int64_t>(ids.size());
    if (count < 1 || count > packed.config.max_positions)
      fail(pare::ErrorCode::kInvalid, "there are {} tokens, expected 1 to {}, the model's context", count,
           packed.config.max_positions);
    KvCache cache(packed, count);
    const Matrix<float> logits = logits_of(packed, forward(packed, ids, cache));
    return std::vector<float>(logits.data(), logits.data() + logits.size());
  });
}

Generated Model::generate(std::string_view prompt, const GenerateOptions& options,
                          const TextSink& sink) const {
  return guarded([&] {
    const pare::GenerateOptions all = choice_of(options).over(impl_->defaults);
    Generated generated;
    const auto take = [&](std::string_view piece) {
      generated.text += piece;
      return !sink || sink(piece);
    };
    const Generation result =
        Generator(impl_->model.packed, impl_->tokenizer).generate(encode(prompt), all, take);
    generated.tokens = result.tokens;
    generated.finish = finish_of(result.finish);
    generated.prompt_tokens = result.prompt_tokens;
    generated.prefill_seconds = result.prefill_seconds;
    generated.decode_seconds = result.decode_seconds;
    return generated;
  });
}

}  // namespace pare::api
