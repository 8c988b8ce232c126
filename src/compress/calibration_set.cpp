#include "compress/calibration_set.h"

#include <algorithm>
#include <memory>

#include "base/hash.h"
#include "base/parallel.h"
#include "model/forward.h"
#include "model/sampler.h"

namespace pare {
namespace {

void finish(CalibrationSet& set) {
  std::string bytes;
  for (const auto& sequence : set.sequences)
    bytes.append(reinterpret_cast<const char*>(sequence.data()), sequence.size() * sizeof(int32_t));
  set.sha256 = sha256_hex(bytes);
}

// A token of the first `vocab` that is not special (in a vocabulary of hardly anything else: any).
int32_t ordinary_token(const Tokenizer& tokenizer, uint64_t vocab, Rng& rng) {
  int32_t token = 0;
  for (int attempt = 0; attempt < 1000; ++attempt) {
    token = static_cast<int32_t>(rng.below(vocab));
    if (!tokenizer.is_special(token)) break;
  }
  return token;
}

void require_sizes(int64_t nsamples, int64_t seqlen) {
  if (nsamples < 1) fail(ErrorCode::kUsage, "--nsamples is {}, expected 1 or more", nsamples);
  if (seqlen < 2) fail(ErrorCode::kUsage, "--seqlen is {}, expected 2 or more", seqlen);
}

}  // namespace

int64_t CalibrationSet::tokens() const { return static_cast<int64_t>(sequences.size()) * seqlen(); }

CalibrationSet calibration_from_text(const Tokenizer& tokenizer, const std::string& text,
                                     const std::string& source, int64_t nsamples, int64_t seqlen) {
  require_sizes(nsamples, seqlen);
  const std::vector<int32_t> ids = tokenizer.encode(text);
  if (static_cast<int64_t>(ids.size()) / seqlen < nsamples)
    fail(ErrorCode::kInvalid, "calibration text {} has {} tokens; {} samples of {} need {}", source,
         ids.size(), nsamples, seqlen, static_cast<__int128>(nsamples) * seqlen);
  CalibrationSet set;
  set.source = source;
  for (int64_t i = 0; i < nsamples; ++i)
    set.sequences.emplace_back(ids.begin() + i * seqlen, ids.begin() + (i + 1) * seqlen);
  finish(set);
  return set;
}

CalibrationSet calibration_from_model(const PackedModel& model, const Tokenizer& tokenizer, int64_t nsamples,
                                      int64_t seqlen, uint64_t seed) {
  require_sizes(nsamples, seqlen);
  if (seqlen > model.config.max_positions)
    fail(ErrorCode::kInvalid, "--seqlen is {}, the model was made for at most {} positions", seqlen,
         model.config.max_positions);
  CalibrationSet set;
  set.source = "self";
  std::vector<Sampler> samplers;
  std::vector<std::unique_ptr<KvCache>> caches;
  Rng rng(seed);
  const auto vocab =
      static_cast<uint64_t>(std::min<int64_t>(model.config.vocab_size, tokenizer.vocab_size()));
  for (int64_t i = 0; i < nsamples; ++i) {
    const bool from_bos = model.config.bos && i % 2 == 0;
    set.sequences.push_back({from_bos ? *model.config.bos : ordinary_token(tokenizer, vocab, rng)});
    SamplingOptions options;
    options.temperature = 1.0;
    options.seed = rng.next();
    samplers.emplace_back(options);
    caches.push_back(std::make_unique<KvCache>(model, seqlen));
  }
  for (int64_t t = 1; t < seqlen; ++t) {
    std::vector<SequenceStep> steps;
    for (size_t i = 0; i < caches.size(); ++i)
      steps.push_back({std::span<const int32_t>(set.sequences[i]).last(1), caches[i].get()});
    const Matrix<float> logits = logits_of(model, forward_batch(model, steps).view());
    parallel_for(nsamples, [&](int64_t i) {
      const auto s = static_cast<size_t>(i);
      const std::span<const float> row(logits.row(i), static_cast<size_t>(logits.cols()));
      set.sequences[s].push_back(samplers[s].sample(row, {}));
    });
  }
  finish(set);
  return set;
}

}  // namespace pare
