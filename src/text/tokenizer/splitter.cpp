#include "text/tokenizer/splitter.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "text/unicode/unicode.h"

namespace pare {
namespace {

// [begin, end) in characters or bytes of a text.
struct Span {
  size_t begin;
  size_t end;
};
struct Part {
  Span span;
  bool is_match;
};

Regex regex_of(const SplitStep& step) {
  switch (step.pattern) {
    case SplitStep::Pattern::kRegex:
      return Regex(step.text);
    case SplitStep::Pattern::kText:
      return Regex::of_text(step.text);
    case SplitStep::Pattern::kDigits:
      return Regex::of_set(CharSet::of_classes(kNumeric));
    case SplitStep::Pattern::kPunctuation:
      return Regex::of_set(CharSet::of_property_bits(kPunctuationBit));
    case SplitStep::Pattern::kSpaces:
      return Regex::of_set(CharSet::of_classes(kSpace));
    default:
      return Regex::of_words();
  }
}

// The matches in symbols and what lies between them, empty matches too, as the library's iterator finds them.
void find_parts(RegexMatcher& matcher, std::string_view symbols, std::vector<Part>& parts) {
  parts.clear();
  size_t done = 0;
  std::optional<size_t> last_end;
  for (size_t from = 0; from <= symbols.size();) {
    const auto match = matcher.find(symbols, from);
    if (!match) break;
    if (match->begin == match->end &&
        last_end == match->end) {  // an empty match behind the last one does not count
      ++from;
      continue;
    }
    from = match->end;
    last_end = match->end;
    if (done != match->begin) parts.push_back({{done, match->begin}, false});
    parts.push_back({{match->begin, match->end}, true});
    done = match->end;
  }
  if (done != symbols.size()) parts.push_back({{done, symbols.size()}, false});
}

// Appends the words that the parts become, `offset` further on.
void append_words(std::span<const Part> parts, SplitBehavior behavior, size_t offset,
                  std::vector<Span>& words) {
  const size_t first = words.size();
  bool is_after_match = false;
  const auto add = [&](const Part& part) {
    words.push_back({offset + part.span.begin, offset + part.span.end});
  };
  switch (behavior) {
    case SplitBehavior::kIsolated:
      std::for_each(parts.begin(), parts.end(), add);
      break;
    case SplitBehavior::kRemoved:
      for (const Part& part : parts)
        if (!part.is_match) add(part);
      break;
    case SplitBehavior::kContiguous:
    case SplitBehavior::kMergedWithPrevious:
      for (const Part& part : parts) {
        const bool joins = behavior == SplitBehavior::kContiguous ? part.is_match == is_after_match
                                                                  : part.is_match && !is_after_match;
        if (joins && words.size() > first)
          words.back().end = offset + part.span.end;
        else
          add(part);
        is_after_match = part.is_match;
      }
      break;
    case SplitBehavior::kMergedWithNext:
      for (size_t i = parts.size(); i-- > 0;) {
        if (parts[i].is_match && !is_after_match && words.size() > first)
          words.back().begin = offset + parts[i].span.begin;
        else
          add(parts[i]);
        is_after_match = parts[i].is_match;
      }
      std::reverse(words.begin() + static_cast<ptrdiff_t>(first), words.end());
      break;
  }
}

// Sorted, disjoint spans of characters as spans of bytes.
void to_bytes(std::string_view text, std::vector<Span>& spans) {
  size_t byte = 0;
  size_t character = 0;
  const auto walk_to = [&](size_t to) {
    for (; character < to; ++character) byte += char_at(text, byte).length;
    return byte;
  };
  for (Span& span : spans) {
    const size_t begin = walk_to(span.begin);
    span = {begin, walk_to(span.end)};
  }
}

}  // namespace

Splitter::Splitter(const std::vector<SplitStep>& steps) {
  if (steps.size() > kMaxSteps)
    fail(ErrorCode::kUnsupported, "a pre-tokenizer of {} steps; at most {} are read", steps.size(),
         kMaxSteps);
  for (const SplitStep& step : steps) {
    PARE_CHECK(step.of_bytes || steps_.empty() || !steps_.back().of_bytes);
    steps_.push_back({regex_of(step), step.behavior, step.invert, step.of_bytes});
  }
}

std::vector<std::string_view> Splitter::split(std::string_view text) const {
  if (text.empty()) return {};
  std::vector<Span> words;
  std::vector<Span> next;
  std::vector<Part> parts;
  std::string symbols;
  bool in_bytes = false;
  for (const Step& step : steps_) {
    symbols.clear();
    if (step.of_bytes) {
      if (!in_bytes) to_bytes(text, words);
      in_bytes = true;
      step.regex.append_byte_symbols(text, symbols);
    } else {
      step.regex.append_symbols(text, symbols);
    }
    if (&step == &steps_.front()) words = {{0, symbols.size()}};
    RegexMatcher matcher(step.regex);
    next.clear();
    for (const Span& word : words) {
      find_parts(matcher, std::string_view(symbols).substr(word.begin, word.end - word.begin), parts);
      if (step.invert)
        for (Part& part : parts) part.is_match = !part.is_match;
      const size_t before = next.size();
      append_words(parts, step.behavior, word.begin, next);
      next.erase(std::remove_if(next.begin() + static_cast<ptrdiff_t>(before), next.end(),
                                [](const Span& span) { return span.begin == span.end; }),
                 next.end());
    }
    words.swap(next);
  }
  if (steps_.empty())
    words = {{0, text.size()}};
  else if (!in_bytes)
    to_bytes(text, words);
  std::vector<std::string_view> result;
  result.reserve(words.size());
  for (const Span& word : words) result.push_back(text.substr(word.begin, word.end - word.begin));
  return result;
}

}  // namespace pare
