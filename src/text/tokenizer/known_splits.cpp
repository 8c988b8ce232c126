#include "text/tokenizer/known_splits.h"

#include <utility>

#include "text/tokenizer/tokenizer_json_regex.h"

namespace pare {
namespace {

struct KnownSplits {
  PreTokenizer kind;
  std::vector<SplitStep> steps;
};

const std::vector<KnownSplits>& known_splits() {
  static const std::vector<KnownSplits> known = {
      {PreTokenizer::kGpt2, {split_at_regex(kGpt2Regex)}},
      {PreTokenizer::kSmolLM, {{.pattern = SplitStep::Pattern::kDigits}, split_at_regex(kGpt2Regex)}},
      {PreTokenizer::kLlama3, {split_at_regex(kLlama3Regex)}},
      {PreTokenizer::kQwen2, {split_at_regex(kQwen2Regex)}},
      {PreTokenizer::kTekken, {split_at_regex(kTekkenRegex)}}};
  return known;
}

}  // namespace

SplitStep split_at_regex(std::string regex) {
  SplitStep step;
  step.text = std::move(regex);
  return step;
}

void use_splits(std::vector<SplitStep> steps, TokenizerSpec& spec) {
  spec.pre_tokenizer = PreTokenizer::kSplits;
  for (const KnownSplits& known : known_splits()) {
    const bool takes_prefix = known.kind == PreTokenizer::kGpt2 || spec.prefix_space == PrefixSpace::kNever;
    if (steps == known.steps && takes_prefix) spec.pre_tokenizer = known.kind;
  }
  spec.splits = spec.pre_tokenizer == PreTokenizer::kSplits ? std::move(steps) : std::vector<SplitStep>();
}

std::vector<SplitStep> splits_of(const TokenizerSpec& spec) {
  for (const KnownSplits& known : known_splits())
    if (known.kind == spec.pre_tokenizer) return known.steps;
  return spec.splits;
}

}  // namespace pare
