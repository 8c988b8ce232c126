#include "compress/walk/calibration_set.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <memory>
#include <optional>

#include "base/hash.h"
#include "base/parallel.h"
#include "runtime/forward.h"
#include "runtime/kv_cache.h"
#include "runtime/sampler.h"
#include "text/files/document_ids.h"

namespace pare {
namespace {

void finish(CalibrationSet& set) {
  std::string bytes;
  for (const auto& sequence : set.sequences)
    bytes.append(reinterpret_cast<const char*>(sequence.data()), sequence.size() * sizeof(int32_t));
  set.sha256 = sha256_hex(bytes);
}

// Draws a token of the first `vocab` that is not special as far as is known (in a vocabulary of hardly
// anything else: any).
int32_t ordinary_token(const Tokenizer* tokenizer, uint64_t vocab, Rng& rng) {
  int32_t token = 0;
  for (int attempt = 0; attempt < 1000; ++attempt) {
    token = static_cast<int32_t>(rng.below(vocab));
    if (tokenizer == nullptr || !tokenizer->is_special(token)) break;
  }
  return token;
}

std::string group_step(int64_t index) { return fmt::format("calibration/{}", index); }

// Continues the sequences, which have one token each, to `seqlen` tokens.
void write_sequences(const PackedModel& model, std::span<std::vector<int32_t>> sequences,
                     std::span<Sampler> samplers, int64_t seqlen,
                     const std::function<void(int64_t)>& progress) {
  const auto count = static_cast<int64_t>(sequences.size());
  std::vector<std::unique_ptr<KvCache>> caches;
  for (int64_t i = 0; i < count; ++i) caches.push_back(std::make_unique<KvCache>(model, seqlen));
  for (int64_t t = 1; t < seqlen; ++t) {
    progress(t * count);
    std::vector<SequenceStep> steps;
    for (size_t i = 0; i < caches.size(); ++i)
      steps.push_back({std::span<const int32_t>(sequences[i]).last(1), caches[i].get()});
    const Matrix<float> logits = logits_of(model, forward_batch(model, steps));
    parallel_for(count, [&](int64_t i) {
      const std::span<const float> row(logits.row(i), static_cast<size_t>(logits.cols()));
      sequences[static_cast<size_t>(i)].push_back(samplers[static_cast<size_t>(i)].sample(row, {}));
    });
  }
}

// Sends the sequences that `writer`, or an earlier run, has written to every rank.
void share_sequences(std::span<std::vector<int32_t>> sequences, const std::string& step, int writer,
                     int64_t seqlen, WorkArea& area) {
  if (const Json* record = area.find(step)) {
    for (size_t i = 0; i < sequences.size(); ++i)
      sequences[i] = record->at("sequences").at(i).get<std::vector<int32_t>>();
    return;
  }
  for (auto& sequence : sequences) {
    sequence.resize(static_cast<size_t>(seqlen));
    area.comm().broadcast(writer, bytes_of(sequence.data(), seqlen));
  }
  area.record(step, {{"sequences", std::vector<std::vector<int32_t>>(sequences.begin(), sequences.end())}});
}

void require_sizes(int64_t nsamples, int64_t seqlen) {
  if (nsamples < 1) fail(ErrorCode::kUsage, "`nsamples` is {}, expected 1 or more", nsamples);
  if (seqlen < 2) fail(ErrorCode::kUsage, "`seqlen` is {}, expected 2 or more", seqlen);
}

}  // namespace

int64_t CalibrationSet::tokens() const { return static_cast<int64_t>(sequences.size()) * seqlen(); }

CalibrationSet calibration_from_text(const Tokenizer& tokenizer, const Documents& documents,
                                     std::span<const int32_t> ends, int64_t nsamples, int64_t seqlen,
                                     int64_t at_most) {
  require_sizes(nsamples, seqlen);
  constexpr auto kMost = std::numeric_limits<int64_t>::max();
  const int64_t wanted = std::max(nsamples, at_most);
  const int64_t needed = wanted > kMost / seqlen ? kMost : wanted * seqlen;
  const std::vector<int32_t> ids =
      document_ids(tokenizer, documents, ends, false, static_cast<size_t>(needed));
  if (static_cast<int64_t>(ids.size()) / seqlen < nsamples)
    fail(ErrorCode::kInvalid, "calibration text {} has {} tokens; {} samples of {} need {}", documents.source,
         ids.size(), nsamples, seqlen, static_cast<__int128>(nsamples) * seqlen);
  const int64_t taken = std::min(wanted, static_cast<int64_t>(ids.size()) / seqlen);
  require_known_text(tokenizer, std::span(ids).first(static_cast<size_t>(taken * seqlen)), documents.source);
  CalibrationSet set;
  // The folder of the text on the user's machine stays out of the output.
  set.source = std::filesystem::path(documents.source).filename().string();
  for (int64_t i = 0; i < taken; ++i)
    set.sequences.emplace_back(ids.begin() + i * seqlen, ids.begin() + (i + 1) * seqlen);
  finish(set);
  return set;
}

CalibrationSet first_sequences(const CalibrationSet& set, int64_t count) {
  CalibrationSet first = set;
  first.sequences.resize(std::min(first.sequences.size(), static_cast<size_t>(count)));
  finish(first);
  return first;
}

int64_t calibration_group(const ModelConfig& config, int64_t nsamples, int64_t seqlen) {
  constexpr int64_t kMaxBytes = int64_t{2} << 30;
  constexpr int64_t kMaxSequences = 32;
  const int64_t bytes = cache_bytes_of_token(config, ComputeType::kBF16) * seqlen;
  const int64_t fitting = kMaxBytes / std::max<int64_t>(1, bytes);
  return std::clamp<int64_t>(fitting, 1, std::min(nsamples, kMaxSequences));
}

CalibrationSet calibration_from_model(const Model& model, const Tokenizer* tokenizer, int64_t nsamples,
                                      int64_t seqlen, uint64_t seed, WorkArea& area,
                                      const PassProgress& progress) {
  require_sizes(nsamples, seqlen);
  const ModelConfig& config = model.config;
  if (seqlen > config.max_positions)
    fail(ErrorCode::kInvalid, "`seqlen` is {}, the model was made for at most {} positions", seqlen,
         config.max_positions);
  CalibrationSet set;
  set.source = "self";
  std::vector<Sampler> samplers;
  Rng rng(seed);
  const int64_t known = tokenizer == nullptr ? config.vocab_size : tokenizer->vocab_size();
  const auto vocab = static_cast<uint64_t>(std::min(config.vocab_size, known));
  for (int64_t i = 0; i < nsamples; ++i) {
    const bool from_bos = config.bos && i % 2 == 0;
    set.sequences.push_back({from_bos ? *config.bos : ordinary_token(tokenizer, vocab, rng)});
    SamplingOptions options;
    options.temperature = 1.0;
    options.seed = rng.next();
    samplers.emplace_back(options);
  }
  const int64_t group = calibration_group(config, nsamples, seqlen);
  const auto group_of = [&](int64_t first) {
    return std::span(set.sequences)
        .subspan(static_cast<size_t>(first), static_cast<size_t>(std::min(group, nsamples - first)));
  };
  Comm& comm = area.comm();
  std::optional<PackedModel> packed;
  for (int64_t round = 0; round < nsamples; round += group * comm.size()) {
    // This rank writes its own group; then all get the groups of every rank.
    const int64_t own = round + group * comm.rank();
    if (own < nsamples && area.find(group_step(own / group)) == nullptr) {
      if (!packed) packed.emplace(model, ComputeType::kBF16);
      write_sequences(*packed, group_of(own), std::span(samplers).subspan(static_cast<size_t>(own)), seqlen,
                      [&](int64_t tokens) {
                        if (progress)
                          progress("writing calibration text", own * seqlen + tokens, nsamples * seqlen);
                      });
    }
    for (int writer = 0; writer < comm.size(); ++writer) {
      const int64_t first = round + group * writer;
      if (first < nsamples) share_sequences(group_of(first), group_step(first / group), writer, seqlen, area);
    }
  }
  finish(set);
  return set;
}

MeasuringSets split_for_measuring(const CalibrationSet& set, const MeasuringSizes& sizes) {
  const auto count = static_cast<int64_t>(set.sequences.size());
  const int64_t grams = std::min(sizes.gram_sequences, count);
  const int64_t probes = std::min(sizes.probe_sequences, count);
  MeasuringSets sets;
  sets.gram.sequences.assign(set.sequences.begin(), set.sequences.begin() + grams);
  // The probe is taken from the end: other text than the Gram matrices saw, unless there is too little of it.
  sets.probe.sequences.assign(set.sequences.end() - probes, set.sequences.end());
  for (auto& sequence : sets.probe.sequences)
    sequence.resize(std::min(static_cast<size_t>(sizes.probe_tokens), sequence.size()));
  return sets;
}

CalibrationSet mixed_calibration(const std::vector<CalibrationSet>& sets) {
  CalibrationSet mixed;
  size_t longest = 0;
  for (const CalibrationSet& set : sets) {
    if (set.seqlen() != sets.front().seqlen())
      fail(ErrorCode::kInvalid, "calibration sequences of {} have {} tokens, of {} {}", set.source,
           set.seqlen(), sets.front().source, sets.front().seqlen());
    mixed.source += (mixed.source.empty() ? "" : " + ") + set.source;
    longest = std::max(longest, set.sequences.size());
  }
  for (size_t i = 0; i < longest; ++i)
    for (const CalibrationSet& set : sets)
      if (i < set.sequences.size()) mixed.sequences.push_back(set.sequences[i]);
  finish(mixed);
  return mixed;
}

}  // namespace pare
