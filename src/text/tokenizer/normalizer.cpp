#include "text/tokenizer/normalizer.h"

#include <algorithm>
#include <iterator>

#include "text/unicode/nfc.h"

namespace pare {
namespace {

using Kind = NormalizerStep::Kind;

struct PlainStep {
  Kind kind;
  std::string_view name;
  void (*append)(std::string_view text, std::string& out);
};
constexpr PlainStep kPlainSteps[] = {{Kind::kNfc, "NFC", append_nfc},
                                     {Kind::kNfd, "NFD", append_nfd},
                                     {Kind::kNfkc, "NFKC", append_nfkc},
                                     {Kind::kNfkd, "NFKD", append_nfkd},
                                     {Kind::kLowercase, "Lowercase", append_lowercase},
                                     {Kind::kStripAccents, "StripAccents", append_without_accents}};

// Returns null for a step that has more than a name.
const PlainStep* plain_step(Kind kind) {
  const auto* found = std::find_if(std::begin(kPlainSteps), std::end(kPlainSteps),
                                   [&](const PlainStep& step) { return step.kind == kind; });
  return found == std::end(kPlainSteps) ? nullptr : found;
}

void append_replaced(std::string_view text, const NormalizerStep& step, std::string& out) {
  for (size_t pos = 0;;) {
    const size_t found = text.find(step.pattern, pos);
    out.append(text.substr(pos, found - pos));
    if (found == std::string_view::npos) return;
    out.append(step.content);
    pos = found + step.pattern.size();
  }
}

}  // namespace

std::optional<Kind> plain_normalizer(std::string_view name) {
  for (const PlainStep& step : kPlainSteps)
    if (step.name == name) return step.kind;
  return std::nullopt;
}

std::string_view normalizer_name(Kind kind) {
  const PlainStep* step = plain_step(kind);
  return step == nullptr ? std::string_view() : step->name;
}

void append_normalized(const std::vector<NormalizerStep>& steps, std::string_view text, bool is_start,
                       std::string& out) {
  if (text.empty()) return;
  std::string current;
  std::string next;
  bool is_copied = false;  // `text` is `current`
  for (const NormalizerStep& step : steps) {
    if (step.kind == Kind::kPrepend && (!is_start || text.empty())) continue;
    if (step.kind == Kind::kNfc && is_nfc(text)) continue;
    next.clear();
    next.reserve(text.size() + text.size() / 2);
    if (const PlainStep* plain = plain_step(step.kind))
      plain->append(text, next);
    else if (step.kind == Kind::kPrepend)
      next.append(step.content).append(text);
    else
      append_replaced(text, step, next);
    current.swap(next);
    text = current;
    is_copied = true;
  }
  if (is_copied && out.empty())
    out.swap(current);
  else
    out.append(text);
}

}  // namespace pare
