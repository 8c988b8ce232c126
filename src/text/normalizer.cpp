#include "text/normalizer.h"

#include "text/nfc.h"

namespace pare {
namespace {

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

void append_normalized(const std::vector<NormalizerStep>& steps, std::string_view text, bool is_start,
                       std::string& out) {
  if (text.empty()) return;
  std::string current;
  std::string next;
  bool is_copied = false;  // `text` is `current`
  for (const NormalizerStep& step : steps) {
    if (step.kind == NormalizerStep::Kind::kPrepend && !is_start) continue;
    if (step.kind == NormalizerStep::Kind::kNfc && is_nfc(text)) continue;
    next.clear();
    next.reserve(text.size() + text.size() / 2);
    switch (step.kind) {
      case NormalizerStep::Kind::kNfc:
        append_nfc(text, next);
        break;
      case NormalizerStep::Kind::kPrepend:
        next.append(step.content).append(text);
        break;
      case NormalizerStep::Kind::kReplace:
        append_replaced(text, step, next);
        break;
    }
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
